//! Decoding and resizing, compared with other libraries.

mod colours;
mod corpus;
mod formats;
mod mutation;
mod parity;
mod reference_images;
