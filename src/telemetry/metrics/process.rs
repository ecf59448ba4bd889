//! Metrics of the process: start time, version and memory.

use std::time::{SystemTime, UNIX_EPOCH};

use super::{families, gauge};

/// The status of the process on Linux. Other systems do not have this file; there the memory metrics are missing.
const STATUS: &str = "/proc/self/status";

pub(super) fn begin() {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    gauge!(families::PROCESS_START).set(now.as_secs_f64());
    gauge!(families::BUILD, "version" => env!("CARGO_PKG_VERSION")).set(1.0);
}

pub(super) fn observe() {
    let Ok(status) = std::fs::read_to_string(STATUS) else { return };
    for (field, family) in [("VmRSS:", families::PROCESS_MEMORY), ("VmHWM:", families::PROCESS_MEMORY_PEAK)] {
        if let Some(bytes) = bytes(&status, field) {
            gauge!(family).set(bytes);
        }
    }
}

/// Returns the largest resident memory of this process since its start, in bytes, if the system reports it.
pub fn peak_memory() -> Option<f64> {
    bytes(&std::fs::read_to_string(STATUS).ok()?, "VmHWM:")
}

/// `VmRSS:     12345 kB`
fn bytes(status: &str, field: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    let kilobytes: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_parsed_from_the_status_of_linux() {
        let status = "Name:\tglimpse\nVmHWM:\t   20480 kB\nVmRSS:\t   10240 kB\nRssAnon:\t 1 kB\n";
        assert_eq!(bytes(status, "VmRSS:"), Some(10_485_760.0));
        assert_eq!(bytes(status, "VmHWM:"), Some(20_971_520.0));
        assert_eq!(bytes("VmRSS:\tmuch\n", "VmRSS:"), None);
        assert_eq!(bytes(status, "VmSwap:"), None);
    }
}
