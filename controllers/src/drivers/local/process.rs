//! One process and all that it starts: spawned behind a gate, watched through a pidfd, ended as a group.
//!
//! The gate: the child is a shell that waits for a line before it becomes the program. So the program runs only after its
//! pid is on disk and its limits are set, and if the controller dies before that, the pipe closes and the child ends. No
//! kill can leave a process that nobody knows.

use std::{
    fs::{self, File},
    io::{self, Write},
    os::fd::{AsFd, OwnedFd},
    os::unix::process::CommandExt,
    process::{ChildStdin, Command, Stdio},
    time::Duration,
};

use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, kill_process, kill_process_group, pidfd_open, waitid,
};
use tokio::{io::Interest, io::unix::AsyncFd, sync::watch, time::timeout};

use super::{plan::Plan, state::Identity};

const GATE: &str = r#"read -r _ && exec "$@""#;
/// A killed process goes when the kernel lets it; one that hangs in a device may not.
const KILL_PATIENCE: Duration = Duration::from_secs(10);

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exit {
    Code(i32),
    Signal(i32),
    /// It was not our child: a controller before this one started it.
    Unseen,
}

impl std::fmt::Display for Exit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exited with code {code}"),
            Self::Signal(signal) => write!(f, "was ended by signal {signal}"),
            Self::Unseen => f.write_str("ended"),
        }
    }
}

/// The pipe that the child waits at.
pub(super) struct Gate(ChildStdin);

impl Gate {
    /// Lets the program start. Its standard input is at its end from then on.
    pub(super) fn open(mut self) -> io::Result<()> {
        self.0.write_all(b"\n")
    }
}

/// Starts a child that waits at its gate, in a process group of its own so that it outlives this process.
pub(super) fn spawn(plan: &Plan, log: File) -> io::Result<(Identity, Gate)> {
    let mut child = Command::new("/bin/sh")
        .args(["-c", GATE, "sh"])
        .arg(&plan.program)
        .args(&plan.arguments)
        .env_clear()
        .envs(plan.environment.iter().map(|(name, value)| (name, value)))
        .current_dir(&plan.working_dir)
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()?;
    let pid = child.id() as i32;
    let gate = child.stdin.take().map(Gate).ok_or_else(|| io::Error::other("the child has no standard input"))?;
    let started = started(pid).ok_or_else(|| io::Error::other("the child ended at once"))?;
    Ok((Identity { pid, started }, gate))
}

/// When a living process started; `None` for the dead, and for those that only wait to be reaped.
pub(super) fn started(pid: i32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name may hold spaces and brackets, so count from the last bracket: state is field 3, start time 22.
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    let state = fields.next()?;
    (state != "Z" && state != "X").then_some(())?;
    fields.nth(18)?.parse().ok()
}

pub(super) fn pid(identity: Identity) -> Option<Pid> {
    Pid::from_raw(identity.pid)
}

/// A handle on a living process; `None` where it is gone. The start time is compared after the handle is there, so the
/// handle is of that process and no other.
pub(super) fn handle(identity: Identity) -> Option<OwnedFd> {
    let fd = pidfd_open(pid(identity)?, PidfdFlags::NONBLOCK).ok()?;
    (started(identity.pid) == Some(identity.started)).then_some(fd)
}

/// Collects a child that ended while nobody watched it.
pub(super) fn reap(identity: Identity) {
    if let Some(pid) = pid(identity) {
        let _ = waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOHANG);
    }
}

/// Waits for the end, ends what is left of the group, and reaps.
pub(super) async fn wait(identity: Identity, handle: OwnedFd) -> io::Result<Exit> {
    #[allow(deprecated)] // its flaw is with types that may close their descriptor early; an `OwnedFd` does not
    let handle = AsyncFd::with_interest(handle, Interest::READABLE)?;
    handle.readable().await?.retain_ready();
    let fd = handle.get_ref().as_fd();
    let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    // A child of ours is a zombie now and holds its group's number: nobody else can be hit. Others may be gone entirely.
    if waitid(WaitId::PidFd(fd), look).is_ok() {
        pid(identity).map(|pid| kill_process_group(pid, Signal::KILL));
    }
    let status = waitid(WaitId::PidFd(fd), WaitIdOptions::EXITED | WaitIdOptions::NOHANG).ok().flatten();
    let code = status.as_ref().and_then(|status| status.exit_status()).map(Exit::Code);
    let signal = || status.as_ref().and_then(|status| status.terminating_signal()).map(Exit::Signal);
    Ok(code.or_else(signal).unwrap_or(Exit::Unseen))
}

/// A process that is being watched.
#[derive(Debug, Clone)]
pub(super) struct Process {
    pub(super) identity: Identity,
    pub(super) exit: watch::Receiver<Option<Exit>>,
}

impl Process {
    pub(super) fn alive(&self) -> bool {
        self.exit.borrow().is_none()
    }

    /// Waits for the end. Cancel-safe.
    pub(super) async fn exited(&self) -> Exit {
        let mut exit = self.exit.clone();
        let ended = exit.wait_for(Option::is_some).await;
        ended.ok().and_then(|exit| *exit).unwrap_or(Exit::Unseen)
    }

    /// Ends the whole group: first by asking, after `grace` by killing. False where it would not go.
    pub(super) async fn stop(&self, grace: Duration) -> bool {
        if !grace.is_zero() {
            self.signal(Signal::TERM);
            if timeout(grace, self.exited()).await.is_ok() {
                return true;
            }
        }
        self.signal(Signal::KILL);
        timeout(KILL_PATIENCE, self.exited()).await.is_ok()
    }

    fn signal(&self, signal: Signal) {
        // As long as its end was not seen the number is still this process's own.
        if let Some(pid) = pid(self.identity).filter(|_| self.alive()) {
            let _ = kill_process_group(pid, signal); // an empty group is what is wanted
            let _ = kill_process(pid, signal); // it may have left its group
        }
    }
}
