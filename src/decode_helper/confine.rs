//! Takes from a helper what a decoder does not need: files, network, other system calls, memory and CPU time.

use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::time::{ClockId, clock_gettime};

/// What the process has before the first request.
pub(super) struct Baseline {
    /// Bytes of address space.
    address_space: u64,
}

/// Address space that the allocator may reserve in addition, such as for its own tables and unused ends of mappings.
const SLACK: u64 = 48 << 20;

impl Baseline {
    /// Reads the size of this process. It must be called before [`confine`], because it reads a file.
    pub(super) fn read() -> Self {
        let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
        let pages: Option<u64> = statm.split_whitespace().next().and_then(|pages| pages.parse().ok());
        // Without the file, this is a generous estimate.
        let address_space = pages.map_or(1 << 30, |pages| pages * rustix::param::page_size() as u64);
        Self { address_space }
    }

    /// Limits the memory and the CPU time from now on.
    pub(super) fn limit(&self, memory: u64, cpu_seconds: u32) -> io::Result<()> {
        let used = u64::try_from(clock_gettime(ClockId::ProcessCPUTime).tv_sec).unwrap_or(0);
        set(Resource::As, self.address_space.saturating_add(SLACK).saturating_add(memory))?;
        // The number is rounded up: a part of a second is used.
        set(Resource::Cpu, used.saturating_add(u64::from(cpu_seconds)).saturating_add(1))
    }
}

/// Sets the limit that can be raised again. It cannot exceed the one that is inherited.
fn set(resource: Resource, value: u64) -> io::Result<()> {
    let Rlimit { maximum, .. } = getrlimit(resource);
    let current = Some(maximum.map_or(value, |maximum| value.min(maximum)));
    Ok(setrlimit(resource, Rlimit { current, maximum })?)
}

/// Closes everything that the kernel can close. Returns the bits of the greeting.
pub(super) fn confine() -> io::Result<u8> {
    // 3 streams, and two copies of them.
    for (resource, limit) in [(Resource::Core, 0), (Resource::Fsize, 0), (Resource::Nofile, 8)] {
        setrlimit(resource, Rlimit { current: Some(limit), maximum: Some(limit) })?;
    }
    #[cfg(target_os = "linux")]
    return Ok(linux::confine());
    #[cfg(not(target_os = "linux"))]
    Ok(0)
}

#[cfg(target_os = "linux")]
mod linux {
    use std::collections::BTreeMap;

    use landlock::{
        ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, Ruleset, RulesetAttr, RulesetError, RulesetStatus,
        Scope,
    };
    use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, apply_filter};

    use crate::decode_helper::wire::{HAS_LANDLOCK, HAS_SECCOMP};

    /// Uses what this kernel has: the limits on memory and time hold without it.
    pub(super) fn confine() -> u8 {
        let landlock = if forbid_files_and_network().unwrap_or(false) { HAS_LANDLOCK } else { 0 };
        let seccomp = if allow_few_system_calls().is_some() { HAS_SECCOMP } else { 0 };
        landlock | seccomp
    }

    /// Returns whether files are forbidden. Older kernels forbid less of the network.
    fn forbid_files_and_network() -> Result<bool, RulesetError> {
        let ruleset = Ruleset::default()
            .set_compatibility(CompatLevel::BestEffort)
            .handle_access(AccessFs::from_all(ABI::V6))?
            .handle_access(AccessNet::from_all(ABI::V6))?
            .scope(Scope::from_all(ABI::V6))?;
        Ok(ruleset.create()?.restrict_self()?.ruleset != RulesetStatus::NotEnforced)
    }

    /// The system calls of a process that reads, allocates, computes, writes and ends.
    const ALLOWED: [i64; 27] = [
        libc::SYS_read,
        libc::SYS_write,
        libc::SYS_writev,
        libc::SYS_close,
        libc::SYS_fstat,
        libc::SYS_mmap,
        libc::SYS_munmap,
        libc::SYS_mremap,
        libc::SYS_mprotect,
        libc::SYS_madvise,
        libc::SYS_brk,
        libc::SYS_futex,
        libc::SYS_sched_yield,
        libc::SYS_sched_getaffinity,
        libc::SYS_clock_gettime,
        libc::SYS_getrandom,
        libc::SYS_prlimit64,
        libc::SYS_rt_sigaction,
        libc::SYS_rt_sigprocmask,
        libc::SYS_rt_sigreturn,
        libc::SYS_sigaltstack,
        libc::SYS_restart_syscall,
        libc::SYS_getpid,
        libc::SYS_gettid,
        libc::SYS_tgkill,
        libc::SYS_exit,
        libc::SYS_exit_group,
    ];

    /// Makes all other system calls fail. Returns `None` if the kernel or the architecture cannot.
    fn allow_few_system_calls() -> Option<()> {
        let rules = ALLOWED.into_iter().map(|number| (number, Vec::new())).collect::<BTreeMap<_, _>>();
        let forbidden = SeccompAction::Errno(u32::try_from(libc::EPERM).ok()?);
        let architecture = std::env::consts::ARCH.try_into().ok()?;
        let filter = SeccompFilter::new(rules, forbidden, SeccompAction::Allow, architecture).ok()?;
        let program: BpfProgram = filter.try_into().ok()?;
        apply_filter(&program).ok()
    }
}
