//! Signals to stop: the first one stops in order, the second one at once.

use std::future::Future;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::failure::Failure;

/// The signals received so far.
#[derive(Debug, Clone, Default)]
pub(crate) struct Shutdown {
    /// Ctrl-C, SIGTERM or a closed terminal.
    pub(crate) asked: CancellationToken,
    /// A second signal: do not wait any longer.
    pub(crate) hurry: CancellationToken,
}

impl Shutdown {
    /// Installs the signal handlers.
    pub(crate) fn listen() -> Result<Self, Failure> {
        let this = Self::default();
        let mut received = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        let mut hangup = if ignores_hangup() { None } else { Some(signal(SignalKind::hangup())?) };
        let requests = this.clone();
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    _ = received.0.recv() => {}
                    _ = received.1.recv() => {}
                    () = closed(&mut hangup) => {}
                }
                if requests.asked.is_cancelled() {
                    requests.hurry.cancel();
                }
                requests.asked.cancel();
            }
        });
        Ok(this)
    }

    /// Runs one step of stopping for at most `limit`, or skips it after a second signal.
    pub(crate) async fn step(&self, name: &str, limit: Duration, work: impl Future<Output = ()>) {
        tokio::select! {
            () = work => tracing::debug!(step = name, "stopped"),
            () = tokio::time::sleep(limit) => tracing::warn!(step = name, "did not stop in time; continuing"),
            () = self.hurry.cancelled() => tracing::warn!(step = name, "second signal; not waiting"),
        }
    }
}

async fn closed(hangup: &mut Option<Signal>) {
    match hangup {
        Some(hangup) => drop(hangup.recv().await),
        None => std::future::pending().await,
    }
}

/// Whether this process was started with `nohup` and should outlive the terminal.
fn ignores_hangup() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 1)
}
