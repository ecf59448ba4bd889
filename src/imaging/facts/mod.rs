//! What a file says about itself without being decoded: format, size, frames, orientation, completeness.

pub(crate) mod complete;
pub(crate) mod decoded;
pub(crate) mod exif;
pub(crate) mod exif_block;
pub(crate) mod header;
pub(crate) mod sniff;
pub(crate) mod tiff;
pub(crate) mod walk;
