//! One integration binary: links once, shares its support.

mod source_contract;
