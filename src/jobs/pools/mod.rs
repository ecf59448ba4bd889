//! Pools do the work: they lease batches, run the chain, report item by item. The one in this process leases by a
//! function call.

mod local;

pub(super) use local::{LocalPool, WORKER};
