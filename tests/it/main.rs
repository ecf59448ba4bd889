//! One integration binary: links once, shares its support.
