//! Slows down clients that guess keys.
//!
//! After some wrong keys, further keys of the same address are refused without a check, until a minute has passed. Sessions and
//! keys that the service has made are always checked: they are random and cannot be guessed, so their users are not locked out by
//! others at the same address. An address of this machine is not limited, because a proxy on it shares it with all its clients;
//! with `GLIMPSE_TRUSTED_PROXIES`, the address that the proxy reports counts.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Mutex;
use std::time::Duration;

use axum::http::StatusCode;
use tokio::time::Instant;

use crate::api::http::ApiError;
use crate::keys::is_generated;
use crate::lock::lock;

/// Maximum number of wrong keys of one address in one [`WINDOW`].
const MAX_FAILURES: u32 = 10;
const WINDOW: Duration = Duration::from_mins(1);
/// Maximum number of addresses that are remembered.
const MAX_ADDRESSES: usize = 10_000;

/// The wrong keys of each address.
#[derive(Debug, Default)]
pub(in crate::api) struct FailedSignIns(Mutex<HashMap<IpAddr, Failures>>);

#[derive(Clone, Copy, Debug)]
struct Failures {
    since: Instant,
    count: u32,
}

impl FailedSignIns {
    /// Fails with 429 if the key must not be checked now.
    pub(super) fn check(&self, address: Option<IpAddr>, key: &str) -> Result<(), ApiError> {
        let Some(address) = limited(address).filter(|_| !is_generated(key)) else { return Ok(()) };
        let failures = lock(&self.0).get(&address).copied().filter(|one| one.count >= MAX_FAILURES);
        let left = failures.map_or(Duration::ZERO, |one| WINDOW.saturating_sub(one.since.elapsed()));
        if left.is_zero() {
            return Ok(());
        }
        let message = format!(
            "{MAX_FAILURES} wrong keys or tokens came from this address within a minute; wait before the next attempt"
        );
        Err(ApiError::new(StatusCode::TOO_MANY_REQUESTS, "too_many_wrong_keys", message).with_retry_after(left))
    }

    /// Records a wrong key.
    pub(super) fn record(&self, address: Option<IpAddr>) {
        let Some(address) = limited(address) else { return };
        let now = Instant::now();
        let mut all = lock(&self.0);
        if all.len() >= MAX_ADDRESSES && !all.contains_key(&address) {
            all.retain(|_, one| now - one.since < WINDOW);
            if all.len() >= MAX_ADDRESSES
                && let Some(oldest) = all.iter().min_by_key(|(_, one)| one.since).map(|(address, _)| *address)
            {
                all.remove(&oldest);
            }
        }
        let failures = all.entry(address).or_insert(Failures { since: now, count: 0 });
        if now - failures.since >= WINDOW {
            *failures = Failures { since: now, count: 0 };
        }
        failures.count += 1;
    }
}

/// Returns the address whose keys are counted: of IPv6, the network of 64 bits, which one client has as a whole.
fn limited(address: Option<IpAddr>) -> Option<IpAddr> {
    match address?.to_canonical() {
        IpAddr::V4(address) if address.is_loopback() => None,
        IpAddr::V6(address) if address.is_loopback() => None,
        IpAddr::V6(address) => Some(Ipv6Addr::from(u128::from(address) & !u128::from(u64::MAX)).into()),
        address @ IpAddr::V4(_) => Some(address),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::unnecessary_wraps, reason = "as the functions take it")]
    fn address(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn wrong_keys_of_one_address_are_refused_for_a_minute() {
        let failures = FailedSignIns::default();
        let guesser = address("192.0.2.1");
        for _ in 0..MAX_FAILURES {
            failures.check(guesser, "guess").unwrap();
            failures.record(guesser);
        }
        assert!(failures.check(guesser, "glimpse_development").is_err());
        assert_eq!(failures.check(guesser, "guess").unwrap_err().status(), StatusCode::TOO_MANY_REQUESTS);
        assert!(
            failures.check(guesser, &format!("glimpse_{}", "0".repeat(64))).is_ok()
                && failures.check(address("192.0.2.2"), "x").is_ok()
        );
        tokio::time::advance(WINDOW).await;
        assert!(failures.check(guesser, "guess").is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn addresses_are_bounded_and_those_of_this_machine_are_not_limited() {
        let failures = FailedSignIns::default();
        for _ in 0..2 * MAX_FAILURES {
            failures.record(address("127.0.0.1"));
            failures.record(address("::1"));
            failures.record(None);
        }
        assert!(failures.check(address("127.0.0.1"), "x").is_ok() && lock(&failures.0).is_empty());
        for _ in 0..MAX_FAILURES {
            failures.record(address("2001:db8::1"));
        }
        assert!(
            failures.check(address("2001:db8::ffff"), "x").is_err()
                && failures.check(address("2001:db8:0:1::1"), "x").is_ok()
        );
        for number in 0..u32::try_from(MAX_ADDRESSES).unwrap() + 5 {
            failures.record(Some(std::net::Ipv4Addr::from(0x0a00_0000 + number).into()));
        }
        assert_eq!(lock(&failures.0).len(), MAX_ADDRESSES);
    }
}
