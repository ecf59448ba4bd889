//! Generations of collections: steps 16 and 21.

/// The triggers that mark a changed object as due in the other generations. `$reset` are further columns of a key that is due again.
macro_rules! triggers {
    ($reset:literal) => {
        concat!(
            "
CREATE TRIGGER object_of_generation AFTER INSERT ON objects
WHEN EXISTS (SELECT 1 FROM generations WHERE physical = NEW.collection AND state = 'current') BEGIN
",
            mark_due!($reset),
            "END;

CREATE TRIGGER changed_object_of_generation AFTER UPDATE OF etag, metadata ON objects
WHEN (NEW.etag <> OLD.etag OR NEW.metadata <> OLD.metadata
        OR EXISTS (SELECT 1 FROM due WHERE physical = NEW.collection AND uri = NEW.uri))
    AND EXISTS (SELECT 1 FROM generations WHERE physical = NEW.collection AND state = 'current') BEGIN
",
            mark_due!($reset),
            "END;
"
        )
    };
}

/// The statements of these triggers.
macro_rules! mark_due {
    ($reset:literal) => {
        concat!(
            "
    DELETE FROM due WHERE physical = NEW.collection AND uri = NEW.uri;
    INSERT INTO due(physical, uri, source)
    SELECT other.physical, NEW.uri, NEW.collection FROM generations AS this
    JOIN generations AS other ON other.collection = this.collection AND other.physical <> this.physical
    WHERE this.physical = NEW.collection AND other.state IN ('building', 'ready', 'previous')
    ON CONFLICT(physical, uri) DO UPDATE
    SET source = excluded.source, version = version + 1, attempts = 0, after = 0",
            $reset,
            ";
"
        )
    };
}

/// The generations of collections that have more than one, and the keys whose records in a generation may be outdated.
///
/// - `generations.physical`: the collection in the stores. The tables of records (`objects`, `recall`, `dropping`) use it; the
///   tables of clients (`jobs`, `events`, `tombstones`, `mirrors`) use the name of the collection.
/// - `generations.expires_at`: when a previous generation is removed.
/// - `due.source`: the generation whose object is compared. `due.version`: increased with each change of the object, so that
///   a change during the work on the key is not lost. `due.after`: not before this time, in Unix milliseconds.
///
/// - `jobs.rebuild`: the collection of a job that builds a generation.
///
/// The triggers record a change of the current generation in the transaction that makes it, in every place. After a forced switch
/// the current generation can have keys in `due`, too: a write of such a key ends that, and it is due in the others.
pub(super) const GENERATIONS: &str = concat!(
    "
CREATE TABLE generations(
    collection TEXT NOT NULL,
    number INTEGER NOT NULL,
    physical TEXT NOT NULL UNIQUE,
    state TEXT NOT NULL CHECK (state IN ('building', 'ready', 'current', 'previous', 'dropping')),
    job TEXT,
    created_at TEXT NOT NULL,
    switched_at TEXT,
    expires_at TEXT,
    PRIMARY KEY (collection, number)
) WITHOUT ROWID;
CREATE UNIQUE INDEX generations_current ON generations(collection) WHERE state = 'current';

CREATE TABLE due(
    physical TEXT NOT NULL,
    uri TEXT NOT NULL,
    source TEXT NOT NULL,
    version INTEGER NOT NULL DEFAULT 1,
    attempts INTEGER NOT NULL DEFAULT 0,
    after INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (physical, uri)
) WITHOUT ROWID;
",
    triggers!(""),
    "
ALTER TABLE jobs ADD COLUMN rebuild TEXT GENERATED ALWAYS AS (json_extract(spec, '$.rebuild.collection')) VIRTUAL;
CREATE INDEX jobs_rebuild ON jobs(rebuild, state, id) WHERE rebuild IS NOT NULL;

DROP TRIGGER item_of_tombstone;
CREATE TRIGGER item_of_tombstone AFTER DELETE ON items BEGIN
    UPDATE tombstones SET pending = pending + 1
    WHERE uri = OLD.uri AND collection = (
        SELECT coalesce((SELECT collection FROM generations WHERE physical = jobs.collection), jobs.collection)
        FROM jobs WHERE id = OLD.job
    );
END;
"
);

/// `due.removed`: whether the object was removed from the generation that is compared. Step 21.
pub(super) const REMOVED_KEYS: &str = concat!(
    "
ALTER TABLE due ADD COLUMN removed INTEGER NOT NULL DEFAULT 0;
DROP TRIGGER object_of_generation;
DROP TRIGGER changed_object_of_generation;
",
    triggers!(", removed = 0")
);
