//! Stores that are too old, limited, slow or damaged.

mod embedded;
mod qdrant;
mod weaviate;
