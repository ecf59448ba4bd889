//! Decoding and resizing, compared with other libraries.

mod corpus;
mod formats;
mod mutation;
mod parity;
mod reference_images;
