//! Ports of this machine, one a session, kept as long as the session exists.
//!
//! They come from below the kernel's ephemeral range, so that no outgoing connection is ever in the way, and a port is
//! tried before it is given. Between the try and the program's own bind somebody else may take it: the program then ends,
//! the attempt fails as retryable, and the next one gets another port.

use std::{
    collections::HashMap,
    net::{Ipv4Addr, TcpListener},
    ops::Range,
    sync::{Mutex, MutexGuard, PoisonError},
};

use streams::wire::{Failure, Scope};
use uuid::Uuid;

use controllers::driver::retryable;

pub(super) struct Ports {
    range: Range<u16>,
    taken: Mutex<HashMap<u16, Uuid>>,
}

impl Ports {
    pub(super) fn new(range: Range<u16>) -> Self {
        Self { range, taken: Mutex::default() }
    }

    fn taken(&self) -> MutexGuard<'_, HashMap<u16, Uuid>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a port that a session of an earlier run has.
    pub(super) fn hold(&self, port: u16, session: Uuid) {
        self.taken().insert(port, session);
    }

    /// A free port, the preferred one if it is.
    pub(super) fn claim(&self, session: Uuid, preferred: Option<u16>) -> Result<u16, Failure> {
        let mut taken = self.taken();
        taken.retain(|_, owner| *owner != session);
        // A random start keeps two controllers on one machine out of each other's way.
        let start = if self.range.is_empty() { self.range.start } else { rand::random_range(self.range.clone()) };
        let candidates = preferred.into_iter().chain(start..self.range.end).chain(self.range.start..start);
        let free = |port: &u16| !taken.contains_key(port) && TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
        let port = candidates
            .into_iter()
            .find(free)
            .ok_or_else(|| retryable("no_port", format!("no free port in {}..{}", self.range.start, self.range.end)))
            .map_err(|e| e.of(Scope::Platform))?;
        taken.insert(port, session);
        Ok(port)
    }

    pub(super) fn release(&self, session: Uuid) {
        self.taken().retain(|_, owner| *owner != session);
    }
}
