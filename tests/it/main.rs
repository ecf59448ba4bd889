//! One integration binary: links once, shares its support.

mod source_contract;
mod source_embedded;
mod source_trouble;
