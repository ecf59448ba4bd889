//! Stores that are too old, limited, late or damaged.

mod embedded;
mod qdrant;
mod weaviate;
