//! A child process that can be killed, paused, stopped, restarted and measured.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::{Pid, kill_process};
use tokio::process::{Child, Command};

pub use rustix::process::Signal;

/// Unit of `utime` and `stime` in `/proc/PID/stat`: `USER_HZ`, which is 100 for user space on every Linux (proc(5)).
const TICKS_PER_SECOND: f64 = 100.0;

/// Sends a signal to a process known to be ours.
///
/// # Errors
/// The system's.
pub fn send(pid: u32, signal: Signal) -> Result<()> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).context("a process id")?;
    Ok(kill_process(pid, signal)?)
}

/// A child process; killed when dropped.
#[derive(Debug)]
pub struct Process {
    binary: PathBuf,
    arguments: Vec<String>,
    environment: HashMap<String, String>,
    log: PathBuf,
    child: Child,
}

impl Process {
    pub(crate) fn start(
        binary: &Path,
        arguments: Vec<String>,
        environment: HashMap<String, String>,
        log: PathBuf,
    ) -> Result<Self> {
        let child = spawn(binary, &arguments, &environment, &log)?;
        Ok(Self { binary: binary.to_owned(), arguments, environment, log, child })
    }

    /// Starts the same program in the same environment with other arguments.
    pub(crate) fn like(&self, arguments: Vec<String>, log: PathBuf) -> Result<Self> {
        Self::start(&self.binary, arguments, self.environment.clone(), log)
    }

    /// Its executable.
    pub(crate) fn binary(&self) -> &Path {
        &self.binary
    }

    /// Sends a signal if it still runs.
    ///
    /// # Errors
    /// The system's.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        match self.child.id() {
            Some(pid) => send(pid, signal),
            None => Ok(()),
        }
    }

    /// Sends SIGTERM and waits for the exit.
    ///
    /// # Errors
    /// It does not exit within half a minute.
    pub async fn end(&mut self) -> Result<ExitStatus> {
        self.signal(Signal::TERM)?;
        let ended = tokio::time::timeout(Duration::from_secs(30), self.child.wait()).await;
        Ok(ended.context("it did not end within 30 s of SIGTERM")??)
    }

    /// Sends SIGKILL if it still runs.
    ///
    /// # Errors
    /// The system's.
    pub async fn kill(&mut self) -> Result<()> {
        if self.child.try_wait()?.is_none() {
            self.child.kill().await?;
        }
        Ok(())
    }

    /// Starts it again with the same arguments after it exited.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn again(&mut self) -> Result<()> {
        self.child = spawn(&self.binary, &self.arguments, &self.environment, &self.log)?;
        Ok(())
    }

    /// Its exit status, if it has exited.
    ///
    /// # Errors
    /// The system's.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// Processor time used so far, in seconds.
    ///
    /// # Errors
    /// It has exited.
    pub fn cpu_seconds(&self) -> Result<f64> {
        let pid = self.child.id().context("the process has ended")?;
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
        let fields = stat.rsplit_once(')').context("a command in /proc/PID/stat")?.1;
        let ticks = fields.split_whitespace().skip(11).take(2).map(str::parse::<f64>);
        Ok(ticks.sum::<Result<f64, _>>()? / TICKS_PER_SECOND)
    }

    /// Resident memory, in MB.
    ///
    /// # Errors
    /// It has exited.
    pub fn memory_mb(&self) -> Result<f64> {
        let pid = self.child.id().context("the process has ended")?;
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("VmRSS")?;
        Ok(line.trim().trim_end_matches(" kB").trim().parse::<f64>()? / 1024.0)
    }
}

fn spawn(binary: &Path, arguments: &[String], environment: &HashMap<String, String>, log: &Path) -> Result<Child> {
    let log = std::fs::OpenOptions::new().create(true).append(true).open(log)?;
    let mut command = Command::new(binary);
    command.args(arguments).envs(environment).env_remove("OTEL_EXPORTER_OTLP_ENDPOINT");
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).kill_on_drop(true);
    command.spawn().with_context(|| binary.display().to_string())
}
