//! Decoding and resizing, compared with other libraries.

mod colours;
mod corpus;
mod formats;
#[cfg(unix)]
mod helper;
mod mutation;
mod parity;
mod reference_images;
mod refused;
