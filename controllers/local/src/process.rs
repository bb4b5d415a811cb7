//! One process: spawned behind a gate, watched through a pidfd.
//!
//! The gate: the child is a helper that waits for its plan before it becomes the program. So the program runs only after its
//! pid is on disk, and if the controller dies before that, the pipe closes and the child ends. No kill can leave a process
//! that nobody knows.

use std::{
    fs,
    io::{self, PipeWriter, Write},
    os::fd::{AsFd, OwnedFd},
    os::unix::process::CommandExt,
    path::Path,
    process::{ChildStdin, Command, Stdio},
};

use rustix::process::{Pid, PidfdFlags, WaitId, WaitIdOptions, pidfd_open, waitid};
use tokio::{io::Interest, io::unix::AsyncFd, sync::watch};

use super::{
    helper::{self, Launch},
    state::Identity,
};

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
    /// Lets the program start, as `launch` says.
    pub(super) fn open(mut self, launch: &Launch) -> io::Result<()> {
        let mut line = serde_json::to_vec(launch)?;
        line.push(b'\n');
        self.0.write_all(&line)
    }
}

/// Starts a child that waits at its gate, in a process group of its own so that it outlives this process.
pub(super) fn spawn(executable: &Path, log: PipeWriter) -> io::Result<(Identity, Gate)> {
    let mut child = Command::new(executable)
        .args([helper::WORD, helper::LAUNCH])
        .env_clear()
        .current_dir("/")
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()?;
    let gate = child.stdin.take().map(Gate).ok_or_else(|| io::Error::other("the child has no standard input"))?;
    Ok((identity(child.id())?, gate))
}

/// Starts the process that keeps a session's log in `folder`, and answers the pipe that it reads. Has to be called inside of a
/// tokio runtime, which reaps it.
pub(super) fn spawn_log(executable: &Path, folder: &Path, file_max: u64) -> io::Result<(Identity, PipeWriter)> {
    let (reader, writer) = io::pipe()?;
    let mut command = tokio::process::Command::new(executable);
    command.args([helper::WORD, helper::LOG, &file_max.to_string()]).env_clear().current_dir(folder).process_group(0);
    let mut child = command.stdin(reader).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let identity = identity(child.id().unwrap_or_default())?;
    tokio::spawn(async move { child.wait().await });
    Ok((identity, writer))
}

fn identity(pid: u32) -> io::Result<Identity> {
    let pid = pid.cast_signed();
    let started = started(pid).ok_or_else(|| io::Error::other("the child ended at once"))?;
    Ok(Identity { pid, started })
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

fn pid(identity: Identity) -> Option<Pid> {
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

/// Waits for the end, and reaps.
pub(super) async fn wait(handle: OwnedFd) -> io::Result<Exit> {
    #[allow(deprecated)] // its flaw is with types that may close their descriptor early; an `OwnedFd` does not
    let handle = AsyncFd::with_interest(handle, Interest::READABLE)?;
    handle.readable().await?.retain_ready();
    let fd = handle.get_ref().as_fd();
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
}
