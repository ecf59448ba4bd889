//! API keys and the audit log: steps 17 and 20.

/// - `keys.digest`: the SHA-256 of the key.
/// - `audit.role`: the role that the request needs. Each role has its own maximum number of rows, so that uploads do not push
///   out the record of a dropped collection.
pub(super) const KEYS: &str = "
CREATE TABLE keys(
    name TEXT PRIMARY KEY,
    role TEXT NOT NULL CHECK (role IN ('read', 'write', 'admin')),
    digest BLOB NOT NULL UNIQUE,
    created_at TEXT NOT NULL,
    expires_at TEXT,
    last_used_at TEXT
) WITHOUT ROWID;

CREATE TABLE audit(
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    at TEXT NOT NULL,
    name TEXT,
    role TEXT NOT NULL,
    action TEXT NOT NULL,
    path TEXT NOT NULL,
    status INTEGER NOT NULL,
    location TEXT,
    request_id TEXT
);
CREATE INDEX audit_by_role ON audit(role, number);
";

/// Whether the name of an entry is that of a key or of a user.
pub(super) const SIGN_IN: &str = "ALTER TABLE audit ADD COLUMN sign_in TEXT;";
