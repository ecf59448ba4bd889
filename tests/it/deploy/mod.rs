//! What is deployed: containers, real servers, data of older versions, the end of a process.

mod compose;
mod draining;
mod servers;
mod v01;
