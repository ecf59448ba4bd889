//! Decoding and resizing, compared with other libraries.

mod awkward;
mod goldens;
mod mutation;
mod parity;
