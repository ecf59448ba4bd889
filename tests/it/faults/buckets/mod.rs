//! Buckets that misbehave: whose failure it is, what is said, and that nothing is lost or removed by it.

mod archive;
mod bodies;
mod contradictions;
mod credentials;
mod endless;
mod keys;
mod order;
mod plain;
mod settings;
mod shared_etags;
mod unreadable;
mod versions;
mod workers;
