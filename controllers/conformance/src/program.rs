//! The controller as a process: started by the command that was given, killed, and asked to stop.

use std::fs::File;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use streams::limits::shorten;
use tokio::process::{Child, Command};

use crate::Error;

/// How much of the end of its log a report shows.
const LOG_LINES: usize = 6;
/// Characters of each of its lines.
const LOG_WIDTH: usize = 300;

/// The command, and where its output goes.
pub(crate) struct Program {
    pub(crate) command: Vec<String>,
    pub(crate) environment: Vec<(&'static str, String)>,
    pub(crate) log: PathBuf,
}

/// One process of it; it is killed when it is dropped.
pub(crate) struct Process {
    child: Child,
}

impl Program {
    /// Starts it, with `more` in its environment.
    pub(crate) fn start(&self, more: &[(&'static str, String)]) -> Result<Process, Error> {
        let failed = |source| Error::Program { command: self.command.join(" "), source };
        let log = File::options().create(true).append(true).open(&self.log).map_err(failed)?;
        let (program, arguments) = self.command.split_first().ok_or(Error::NoCommand)?;
        let child = Command::new(program)
            .args(arguments)
            .envs(self.environment.iter().chain(more).map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(log.try_clone().map_err(failed)?)
            .stderr(log)
            .process_group(0) // Ctrl-C is for the suite, which stops it in its own way
            .kill_on_drop(true)
            .spawn()
            .map_err(failed)?;
        Ok(Process { child })
    }

    /// The end of what it wrote.
    pub(crate) fn log_tail(&self) -> String {
        let text = std::fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text).into_owned();
        let lines = text.lines().rev().take(LOG_LINES).map(|line| shorten(line, LOG_WIDTH)).collect::<Vec<_>>();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }
}

impl Process {
    /// How it ended, where it has.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// kill -9, of this process alone: what it started is left as a crash leaves it.
    pub(crate) async fn kill(mut self) {
        let _ = self.child.kill().await; // it may have ended already
    }

    /// SIGTERM; true where it ended within that time. Else it is killed.
    pub(crate) async fn stop(mut self, patience: Duration) -> bool {
        let pid = self.child.id().and_then(|pid| Pid::from_raw(pid as i32));
        if let Some(pid) = pid {
            let _ = kill_process(pid, Signal::TERM); // it may have ended already
        }
        let ended = tokio::time::timeout(patience, self.child.wait()).await.is_ok();
        if !ended {
            let _ = self.child.kill().await;
        }
        ended
    }
}
