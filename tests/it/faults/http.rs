//! The HTTP API under unusual clients and loads.
