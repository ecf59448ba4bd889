//! Pools do the work: they lease batches, run the pipeline and report each item. The same code ([`Pool`]) works for the
//! ledger of this process ([`LocalBroker`]) and for a remote service (`crate::worker`). The service watches the leases
//! of remote pools ([`LeaseWatch`]) and can have them placed by a cluster ([`Ray`]).

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

/// The worker name of the pool in this process.
pub(super) const LOCAL: &str = "local";
