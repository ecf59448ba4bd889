//! Stores that are too old, limited, late or damaged.

mod qdrant;
