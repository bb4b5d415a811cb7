//! What a session's process may use, and what is really enforced of it.
//!
//! Enforced by the kernel, on every process of the session for itself: address space (`RLIMIT_AS`, from
//! `resources.memory`), open files (`RLIMIT_NOFILE`), no core dumps. The number of processes is limited by the kernel where the
//! user has a uid of its own (`RLIMIT_NPROC` counts all of a uid), else they are counted, and a session that has too many is
//! ended. Not enforced: the sum of memory over several processes of one session, and CPU; both need a cgroup, which an
//! ordinary user may not make. A program that reserves far more address space than it uses (Chromium, Java, Go with race
//! detection) needs a generous `memory`, or a driver opened with `enforce_memory: false`.

use streams::{
    quantity,
    wire::{Failure, Resources, Scope},
};

use controllers::driver::{Spec, user_error};

/// Files that each process may have open.
pub(super) const OPEN_FILES: u64 = 65_536;

/// The limits of one session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Limits {
    /// Bytes of address space.
    pub(super) memory: Option<u64>,
}

impl Limits {
    /// What the session asked for, else what its template has by default.
    pub(super) fn of(spec: &Spec, enforce_memory: bool) -> Result<Self, Failure> {
        let defaults = || spec.template.as_ref().and_then(|t| t.spec.default_resources.as_ref());
        let memory = |resources: &Resources| resources.memory.clone();
        let asked = memory(&spec.resources).or_else(|| defaults().and_then(memory)).filter(|_| enforce_memory);
        let memory = asked.map(|text| quantity::bytes(&text)).transpose();
        Ok(Self { memory: memory.map_err(|e| user_error("bad_resources", e.to_string()).of(Scope::Session))? })
    }
}
