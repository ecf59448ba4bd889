//! Workers elsewhere: names, leases and refusals.
