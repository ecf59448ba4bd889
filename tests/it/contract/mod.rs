//! What every adapter of a port does.

pub(crate) mod embed;
pub(crate) mod index;
pub(crate) mod source;
