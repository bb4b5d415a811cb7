//! The binary under test, isolated from this machine's settings, and its output.

use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};

const DEADLINE: Duration = Duration::from_secs(60);

/// The output and exit code of a command.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Said {
    /// It failed with this code, and its one line on stderr contains all these parts.
    pub(crate) fn refuses(&self, code: i32, parts: &[&str]) -> anyhow::Result<()> {
        ensure!(self.code == Some(code), "expected code {code}: {self:?}");
        ensure!(self.err.trim_end().lines().count() == 1, "more than one line: {self:?}");
        for part in parts {
            ensure!(self.err.contains(part), "{part:?} is missing: {self:?}");
        }
        Ok(())
    }

    /// The same, if lines with progress came before.
    pub(crate) fn refuses_last(&self, code: i32, parts: &[&str]) -> anyhow::Result<()> {
        let last = self.err.trim_end().lines().last().unwrap_or_default().to_owned();
        Self { code: self.code, out: self.out.clone(), err: last }.refuses(code, parts)
    }

    /// It succeeded.
    pub(crate) fn done(self) -> anyhow::Result<Self> {
        ensure!(self.code == Some(0), "expected success: {self:?}");
        Ok(self)
    }
}

/// The binary in a folder, without this machine's environment.
pub(crate) fn program(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_streamspace"));
    command.args(arguments);
    clean(command, folder)
}

/// A command in a folder, without this machine's environment.
pub(crate) fn clean(mut command: Command, folder: &Path) -> Command {
    command.current_dir(folder).stdin(Stdio::null());
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        let ours = [
            "STREAMSPACE_",
            "NATS_",
            "CONTROLLER_",
            "OTEL_",
            "DATABASE_URL",
            "HEARTBEAT_INTERVAL",
            "RUST_LOG",
            "NO_COLOR",
            "CLICOLOR",
        ];
        if ours.iter().any(|prefix| text.starts_with(prefix)) {
            command.env_remove(&name);
        }
    }
    command.env("XDG_CONFIG_HOME", folder.join("xdg")); // the developer may have contexts
    command
}

/// Runs the binary to its end.
pub(crate) fn run(folder: &Path, arguments: &[&str]) -> anyhow::Result<Said> {
    said(program(folder, arguments).output()?)
}

pub(crate) fn said(output: Output) -> anyhow::Result<Said> {
    let (out, err) = (String::from_utf8(output.stdout)?, String::from_utf8(output.stderr)?);
    Ok(Said { code: output.status.code(), out, err })
}

/// A process that is killed when the test ends.
#[derive(Debug)]
pub(crate) struct Running(pub(crate) Child);

impl Running {
    pub(crate) fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        Ok(kill_process(Pid::from_child(&self.0), signal)?)
    }

    /// Sends SIGTERM, and returns the exit code.
    pub(crate) fn stop(&mut self) -> anyhow::Result<Option<i32>> {
        self.signal(Signal::TERM)?;
        let mut code = None;
        until("it ends", || {
            code = self.0.try_wait()?;
            Ok(code.is_some())
        })?;
        Ok(code.context("it was waited for")?.code())
    }

    pub(crate) fn kill(&mut self) -> anyhow::Result<()> {
        self.0.kill()?;
        self.0.wait()?;
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill(); // it has ended already
        let _ = self.0.wait();
    }
}

/// Polls until the condition holds.
pub(crate) fn until(what: &str, mut look: impl FnMut() -> anyhow::Result<bool>) -> anyhow::Result<()> {
    let deadline = Instant::now() + DEADLINE;
    while !look()? {
        if Instant::now() > deadline {
            bail!("gave up waiting until {what}");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}
