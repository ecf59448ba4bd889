//! Addresses for servers that start later, or again.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};

/// Ports that the kernel does not choose for connections or for port 0 (`ip_local_port_range` of Linux begins at 32768), so
/// that a port stays free until it is used.
const FIRST: u16 = 12_000;
const COUNT: u16 = 20_000;

/// Returns an address of this machine that no other test gets.
pub(crate) fn free_address() -> String {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Other processes with tests begin elsewhere.
    let start = std::process::id().wrapping_mul(997);
    (0..COUNT)
        .map(|_| u32::from(NEXT.fetch_add(1, Ordering::Relaxed)).wrapping_add(start) % u32::from(COUNT))
        .map(|offset| SocketAddr::from((Ipv4Addr::LOCALHOST, FIRST + u16::try_from(offset).unwrap())))
        .find(|address| TcpListener::bind(address).is_ok())
        .unwrap()
        .to_string()
}
