//! The contracts of the three ports, and the behaviour of each adapter.

pub(crate) mod embed;
pub(crate) mod index;
pub(crate) mod source;
