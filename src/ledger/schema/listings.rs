//! Listings, removals of collections and the self-tests of stores: the steps 8 to 12.

/// Which of the removed records have excluded keys, and how many of them a job has removed. How many images each row of
/// a metadata file was joined with, and the URI of the row in one Unicode normal form, if another form is possible.
pub(super) const EXCLUDED: &str = "
ALTER TABLE vanished ADD COLUMN excluded INTEGER NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN excluded_deleted INTEGER NOT NULL DEFAULT 0;
ALTER TABLE metadata ADD COLUMN folded TEXT;
ALTER TABLE metadata ADD COLUMN images INTEGER NOT NULL DEFAULT 0;
CREATE INDEX metadata_by_folded ON metadata(job, folded) WHERE folded IS NOT NULL;
";

/// Collections whose drop has begun: their objects are being forgotten, and stores can still have them.
pub(super) const DROPPING: &str = "
CREATE TABLE dropping(collection TEXT PRIMARY KEY) WITHOUT ROWID;
";

/// Where a listing continues in a bucket whose order is not reliable; the number of keys that could not be read; the
/// number of images in an archive (they do not count for `max_items`); whether a job ended with work left.
pub(super) const LISTING: &str = "
ALTER TABLE jobs ADD COLUMN listed_from TEXT;
ALTER TABLE jobs ADD COLUMN unreadable INTEGER NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN archived INTEGER NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN unfinished INTEGER NOT NULL DEFAULT 0;
";

/// The ranges of keys that a job lists side by side and that are not complete: the keys after `after` up to and with
/// `through`, or up to the end of the job's prefix. `listed_through` is the last key of the range that was listed.
pub(super) const RANGES: &str = "
CREATE TABLE ranges(
    job TEXT NOT NULL,
    after TEXT NOT NULL,
    through TEXT,
    listed_through TEXT,
    PRIMARY KEY (job, after)
) WITHOUT ROWID;
";

/// The results of the self-tests of stores.
pub(super) const RECALL: &str = "
CREATE TABLE recall(
    collection TEXT NOT NULL,
    store TEXT NOT NULL,
    report TEXT NOT NULL,
    PRIMARY KEY (collection, store)
) WITHOUT ROWID;
";
