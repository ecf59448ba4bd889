//! Deployments: containers, real servers, data of older versions, and the end of a process.

mod compose;
mod draining;
mod kubernetes;
mod observability;
mod servers;
mod small_stack;
mod v01;
