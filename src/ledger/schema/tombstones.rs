//! Images that were removed permanently: step 14.

/// The images that jobs, events and uploads must not bring back.
///
/// - `number`: in the order of the removals, never used twice.
/// - `image`: the id of the image, by which clients name it.
/// - `pending`: 0 if no store has the record. It is increased whenever a store may have it, so that a write which ends
///   during the removal of the record is not lost.
///
/// An item that leaves the work of a job, in whatever way, may have been written: the trigger has its record removed again.
pub(super) const TOMBSTONES: &str = "
CREATE TABLE tombstones(
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    collection TEXT NOT NULL,
    uri TEXT NOT NULL,
    image TEXT NOT NULL,
    removed_at TEXT NOT NULL,
    pending INTEGER NOT NULL DEFAULT 1
);
CREATE UNIQUE INDEX tombstones_by_uri ON tombstones(collection, uri);
CREATE UNIQUE INDEX tombstones_by_image ON tombstones(collection, image);
CREATE INDEX tombstones_by_collection ON tombstones(collection, number);
CREATE INDEX tombstones_pending ON tombstones(collection) WHERE pending > 0;

CREATE TRIGGER item_of_tombstone AFTER DELETE ON items BEGIN
    UPDATE tombstones SET pending = pending + 1
    WHERE collection = (SELECT collection FROM jobs WHERE id = OLD.job) AND uri = OLD.uri;
END;
";
