//! When a process is asked to end: once means in order, twice means at once.

use std::future::Future;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::failure::Failure;

/// What the signals asked for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Shutdown {
    /// Ctrl-C, SIGTERM or a closed terminal.
    pub(crate) asked: CancellationToken,
    /// The second of them: nobody wants to wait any more.
    pub(crate) hurry: CancellationToken,
}

impl Shutdown {
    /// Listens from now on.
    pub(crate) fn listen() -> Result<Self, Failure> {
        let this = Self::default();
        let mut signals = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        let mut hangup = if ignores_hangup() { None } else { Some(signal(SignalKind::hangup())?) };
        let told = this.clone();
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    _ = signals.0.recv() => {}
                    _ = signals.1.recv() => {}
                    () = closed(&mut hangup) => {}
                }
                if told.asked.is_cancelled() {
                    told.hurry.cancel();
                }
                told.asked.cancel();
            }
        });
        Ok(this)
    }

    /// One step of stopping, no longer than `limit`, and not at all in a hurry.
    pub(crate) async fn step(&self, name: &str, limit: Duration, work: impl Future<Output = ()>) {
        tokio::select! {
            () = work => tracing::debug!(step = name, "stopped"),
            () = tokio::time::sleep(limit) => tracing::warn!(step = name, "did not stop in time; going on"),
            () = self.hurry.cancelled() => tracing::warn!(step = name, "asked twice; not waiting"),
        }
    }
}

async fn closed(hangup: &mut Option<Signal>) {
    match hangup {
        Some(hangup) => drop(hangup.recv().await),
        None => std::future::pending().await,
    }
}

/// Whether we were started with `nohup`, which asks to outlive the terminal.
fn ignores_hangup() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 1)
}
