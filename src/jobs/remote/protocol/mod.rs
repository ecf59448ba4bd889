//! What a remote worker sends and receives: its requests and their replies, the limits on them, its token and its name.

pub(crate) mod bounds;
pub(crate) mod token;
pub mod wire;
pub(crate) mod worker_name;
