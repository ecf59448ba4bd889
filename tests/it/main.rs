//! One integration binary: links once, shares its support.

mod embed_contract;
mod golden;
