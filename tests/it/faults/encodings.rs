//! Objects with unusual encodings, names, metadata or owners.
