//! Pools do the work: they lease batches, run the chain, report item by item. The code is one ([`Pool`]), whoever hands out
//! the batches: the ledger of this process ([`LocalBroker`]) or a service elsewhere (`crate::worker`), which then watches over
//! them ([`LeaseWatch`]), and has them placed where a cluster does that ([`Ray`]).

mod held;
mod lease_watch;
mod local;
mod pool;
mod ray;

pub(super) use lease_watch::LeaseWatch;
pub(super) use local::LocalBroker;
pub use pool::{Ended, Pool, PoolError};
pub use ray::Placing;
pub(super) use ray::{PlaceError, PlacingView, Ray, WindUp};

/// The name under which the pool of this process leases.
pub(super) const LOCAL: &str = "local";
