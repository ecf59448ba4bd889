//! Deployments: containers, real servers, data of older versions, and the end of a process.

mod compose;
mod draining;
mod observability;
mod servers;
mod v01;
