//! Tests that need a process of their own, and the peak of its memory.

use std::process::Command;

use super::environment::variable;

/// The command that runs one test of this binary; `module` is the `module_path!()` of the test.
pub(crate) fn test_command(module: &str, test: &str) -> Command {
    let (_, module) = module.split_once("::").unwrap();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([&format!("{module}::{test}"), "--exact", "--nocapture"]);
    command
}

/// Returns true in a process that runs this test alone. Otherwise starts that process, waits for its success, prints its
/// stderr, and returns false.
pub(crate) fn runs_alone(module: &str, test: &str) -> bool {
    const ALONE: &str = "GLIMPSE_TEST_ALONE";
    if variable(ALONE).is_some() {
        return true;
    }
    let output = test_command(module, test).env(ALONE, "1").output().unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && stdout.contains("1 passed"), "{stdout}{stderr}");
    super::environment::print(stderr.trim());
    false
}

/// Resets the kernel's count of the peak of memory, and returns the bytes in use; `None` if the kernel is not Linux.
pub(crate) fn reset_peak() -> Option<u64> {
    std::fs::write("/proc/self/clear_refs", "5").ok()?;
    read_status("VmRSS:")
}

/// Returns by how many bytes the peak of memory is above the result of [`reset_peak`].
pub(crate) fn peak_since(before: Option<u64>) -> Option<u64> {
    Some(read_status("VmHWM:")?.saturating_sub(before?))
}

fn read_status(name: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let kilobytes = status.lines().find_map(|line| line.strip_prefix(name)?.trim().strip_suffix(" kB"))?;
    Some(kilobytes.parse::<u64>().ok()? * 1024)
}
