//! Buckets whose credentials, listings or endpoints are wrong.
