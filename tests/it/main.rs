//! One integration binary: links once, shares its support.

#![expect(clippy::unwrap_used, reason = "a test may panic, and so may what it calls")]

mod embed_contract;
mod golden;
mod index_contract;
mod index_embedded;
mod source_contract;
mod source_embedded;
mod source_trouble;
