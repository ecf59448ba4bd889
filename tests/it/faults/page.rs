//! The page and its API behind proxies.
