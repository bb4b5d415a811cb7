//! When a process counts as running: its port answers, and what answers is one of its own.

use std::{
    fs::File,
    io,
    io::{Read, Seek, SeekFrom},
    path::Path,
    time::Duration,
};

use streams::wire::{self, Failure};
use tokio::time::{Instant, sleep};

use super::{
    connections::Probes,
    listener::{self, Listener},
    members::Scope,
    policy::Readiness,
    probe,
    process::{Exit, Process},
};
use controllers::driver::retryable;

const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);
const ONE_ANSWER: Duration = Duration::from_secs(5);
/// Looks at a listener that seems to be somebody else's: a server may hand its socket to a process that it just started.
const LOOKS: u32 = 3;
const LOG_BYTES: i64 = 4096;
const LOG_LINES: usize = 8;

/// What is waited for.
pub(super) struct Waiting<'a> {
    pub(super) port: u16,
    pub(super) scope: Scope,
    pub(super) probes: &'a Probes,
    pub(super) readiness: Readiness,
}

impl Waiting<'_> {
    /// Waits until the process is ready, has ended, or has had its time. A failure lacks what the process wrote last.
    pub(super) async fn wait(&self, process: &Process) -> Result<(), Failure> {
        let (port, patience) = (self.port, self.readiness.timeout);
        let mut last = None;
        let ready = async {
            let mut pause = FIRST_PAUSE;
            while let Err(e) = probe::ask(self.probes, port, self.readiness.path.as_deref(), ONE_ANSWER).await {
                last = Some(e);
                sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
            self.is_ours().await
        };
        let deadline = Instant::now() + patience;
        tokio::select! {
            biased;
            exit = process.exited() => Err(ended(exit)),
            ours = ready => match ours {
                _ if !process.alive() => Err(ended(process.exited().await)),
                true => Ok(()),
                false => Err(taken(port)),
            },
            () = tokio::time::sleep_until(deadline) => {
                let last = last.map(|e| format!(" ({e})")).unwrap_or_default();
                Err(retryable("not_ready", format!("port {port} was not ready within {patience:?}{last}")).of(wire::Scope::Session))
            }
        }
    }

    async fn is_ours(&self) -> bool {
        for look in 1..=LOOKS {
            if listener::of(self.port, &self.scope.living()) != Listener::Foreign {
                return true;
            }
            sleep(FIRST_PAUSE * look).await;
        }
        false
    }
}

/// Its own fault, most likely, so it opens no breaker; another attempt may still do.
fn ended(exit: Exit) -> Failure {
    Failure { user_error: true, ..retryable("process_exited", format!("the process {exit} before it was ready")) }
        .of(wire::Scope::Session)
}

/// The next attempt gets another port.
pub(super) fn taken(port: u16) -> Failure {
    let message = format!("port {port} is answered by a process that does not belong to this session");
    retryable("port_taken", message).of(wire::Scope::Session)
}

/// The last lines that the process wrote, ready to be put behind a message.
pub(super) fn tail(log: &Path) -> String {
    let read = || -> io::Result<Vec<u8>> {
        let mut file = File::open(log)?;
        let from = file.metadata()?.len().cast_signed().saturating_sub(LOG_BYTES).max(0);
        file.seek(SeekFrom::Start(from.cast_unsigned()))?;
        let mut bytes = Vec::new();
        file.take(LOG_BYTES.cast_unsigned()).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = read().unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let lines = text.lines().filter(|line| !line.trim().is_empty()).collect::<Vec<_>>();
    let last = lines.get(lines.len().saturating_sub(LOG_LINES)..).unwrap_or_default();
    if last.is_empty() { "; it wrote nothing".into() } else { format!("; it wrote last: {}", last.join("\n")) }
}
