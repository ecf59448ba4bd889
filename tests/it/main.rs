//! One integration binary: links once, shares its support.
#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod embed_contract;
mod golden;
