//! Faulty buckets: how the failure is classified and reported, and that nothing is lost or removed.

mod archive;
mod bodies;
mod contradictions;
mod credentials;
mod endless;
mod keys;
mod lanes;
mod order;
mod plain;
mod prefixes;
mod replies;
mod settings;
mod shared_etags;
mod unreadable;
mod versions;
mod workers;
