//! From a process that the controller knows to the session's program.
//!
//! The plan comes over standard input, so nothing of it shows in a command line or an environment before its time; and if
//! the controller dies before the whole of it was written, the pipe closes and this process ends. The program runs only after
//! its pid is on disk.

use std::{
    fs,
    io::{self, BufRead, BufReader, Read, stdin},
    os::unix::process::CommandExt,
    path::PathBuf,
    process::{Command, ExitCode, Stdio},
};

use rustix::{
    fs::Mode,
    process::{Resource, Rlimit, getrlimit, setrlimit, umask},
};
use serde::{Deserialize, Serialize};

use super::confine;

/// The kernel takes no more than 2 MiB of arguments and environment; JSON escapes at most six times as long.
const PLAN_MAX: u64 = 16 << 20;
/// As a shell says that a program could not be executed.
const NOT_EXECUTED: u8 = 126;

/// What to become.
#[derive(Debug, Serialize, Deserialize)]
pub(in super::super) struct Launch {
    pub(in super::super) program: PathBuf,
    /// The program is this very file, which its user may be unable to reach by its path.
    pub(in super::super) itself: bool,
    pub(in super::super) arguments: Vec<String>,
    pub(in super::super) environment: Vec<(String, String)>,
    pub(in super::super) working_dir: PathBuf,
    pub(in super::super) home: PathBuf,
    /// Bytes of address space.
    pub(in super::super) memory: Option<u64>,
    pub(in super::super) open_files: u64,
    /// Whom it belongs to, where it does not stay the controller's own user.
    pub(in super::super) owner: Option<Owner>,
}

/// A user of the machine that nobody but one person's sessions is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in super::super) struct Owner {
    pub(in super::super) uid: u32,
    /// The folder that it must not see into, except for its home; `None` where no private view can be had.
    pub(in super::super) cover: Option<PathBuf>,
    /// Processes that this user may have, over all sessions.
    pub(in super::super) processes_max: u64,
}

/// Waits for the plan and becomes it. It comes back only with a failure.
pub(super) fn run() -> ExitCode {
    let launch = match plan() {
        Ok(Some(launch)) => launch,
        Ok(None) => return ExitCode::SUCCESS, // the controller is gone, and nothing was begun
        Err(e) => return failed("the plan cannot be read", &e),
    };
    let program = launch.program.display().to_string();
    let Err(e) = become_it(launch);
    failed(&format!("cannot execute {program}"), &e)
}

#[allow(clippy::print_stderr)] // it is the session's log, the only place where anybody looks for it
fn failed(what: &str, error: &io::Error) -> ExitCode {
    eprintln!("{what}: {error}");
    ExitCode::from(NOT_EXECUTED)
}

fn plan() -> io::Result<Option<Launch>> {
    let mut line = Vec::new();
    BufReader::new(stdin().lock().take(PLAN_MAX)).read_until(b'\n', &mut line)?;
    if !line.ends_with(b"\n") {
        return Ok(None);
    }
    Ok(Some(serde_json::from_slice(&line)?))
}

fn become_it(launch: Launch) -> io::Result<std::convert::Infallible> {
    let program = if launch.itself { PathBuf::from("/proc/self/exe") } else { launch.program.clone() };
    let mut command = Command::new(program);
    command.arg0(&launch.program).args(&launch.arguments).env_clear();
    command.envs(launch.environment.iter().map(|(name, value)| (name, value)));
    command.current_dir(&launch.working_dir).stdin(Stdio::null());
    limit(Resource::Core, 0)?;
    limit(Resource::Nofile, launch.open_files)?;
    if let Some(owner) = &launch.owner {
        give_up(owner, &launch)?;
    }
    umask(Mode::RWXG | Mode::RWXO); // what a session writes is its user's own, unless the program says otherwise
    fs::create_dir_all(&launch.working_dir)?; // as its user, who may have put links there
    if let Some(bytes) = launch.memory {
        limit(Resource::As, bytes)?;
    }
    Err(command.exec())
}

/// From root to a user without rights, for good.
fn give_up(owner: &Owner, launch: &Launch) -> io::Result<()> {
    if let Some(cover) = &owner.cover {
        umask(Mode::WGRP | Mode::WOTH); // the way to the home is to be walked by its user
        confine::enter(cover, std::slice::from_ref(&launch.home))?;
    }
    limit(Resource::Nproc, owner.processes_max)?;
    let (uid, gid) = (nix::unistd::Uid::from_raw(owner.uid), nix::unistd::Gid::from_raw(owner.uid));
    nix::unistd::setgroups(&[])?;
    nix::unistd::setresgid(gid, gid, gid)?;
    nix::unistd::setresuid(uid, uid, uid)?;
    rustix::thread::set_no_new_privs(true)?;
    Ok(())
}

/// Raising a hard limit is a privilege, so ours is the most that is asked for.
fn limit(resource: Resource, wanted: u64) -> io::Result<()> {
    let most = getrlimit(resource).maximum.unwrap_or(u64::MAX);
    let limit = Some(wanted.min(most));
    Ok(setrlimit(resource, Rlimit { current: limit, maximum: limit })?)
}
