//! Buckets that misbehave: whose failure it is, what is said, and that nothing is lost or removed by it.

mod plain;
