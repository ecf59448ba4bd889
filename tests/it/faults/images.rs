//! Images that other decoders read.
