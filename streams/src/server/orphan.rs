//! Ends the nats-server that an earlier, killed process left behind, and never another process with the same pid.

use std::io;
use std::path::Path;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, test_kill_process};

const GRACE: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(50);

pub(super) fn signal(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        let _ = kill_process(pid, signal); // it may have ended already
    }
}

/// Ends the process in `pid_file` if it runs with `config`.
pub(super) async fn end(pid_file: &Path, config: &Path) -> io::Result<()> {
    let Some(pid) = std::fs::read_to_string(pid_file).ok().and_then(|text| text.trim().parse::<u32>().ok()) else {
        return Ok(());
    };
    if runs_with(pid, config).await {
        tracing::info!(nats.pid = pid, "ending the nats-server that an earlier run left behind");
        signal(pid, Signal::TERM);
        if !gone(pid).await {
            signal(pid, Signal::KILL);
            if !gone(pid).await {
                return Err(io::Error::new(io::ErrorKind::TimedOut, format!("process {pid} does not exit")));
            }
        }
    }
    std::fs::remove_file(pid_file)
}

async fn gone(pid: u32) -> bool {
    let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return true };
    let deadline = tokio::time::Instant::now() + GRACE;
    while tokio::time::Instant::now() < deadline {
        if test_kill_process(pid).is_err() {
            return true;
        }
        tokio::time::sleep(POLL).await;
    }
    false
}

/// `ps` exists on every Unix; `/proc` does not.
async fn runs_with(pid: u32, config: &Path) -> bool {
    let config = config.to_string_lossy();
    if let Ok(line) = std::fs::read(format!("/proc/{pid}/cmdline")) {
        return String::from_utf8_lossy(&line).contains(&*config);
    }
    let listed = tokio::process::Command::new("ps").args(["-o", "command=", "-p", &pid.to_string()]).output().await;
    listed.is_ok_and(|listed| String::from_utf8_lossy(&listed.stdout).contains(&*config))
}
