//! The processes of one session: found, asked to end, and ended.
//!
//! They are found by the group of the first process, by descent, and by the mark that a session's environment carries, so that
//! what a wrapper or a shell starts is in it as well. Each is signalled through a handle on that very process: a number that
//! came into other hands is never hit.

use std::{collections::HashSet, fs, time::Duration};

use rustix::process::{Signal, pidfd_send_signal};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::{
    plan::{SESSION_MARK, WORLD_MARK},
    process, processes,
    state::Identity,
};

const FIRST_LOOK: Duration = Duration::from_millis(5);
const LONGEST_LOOK: Duration = Duration::from_millis(250);
/// A killed process goes when the kernel lets it; one that hangs in a device may not.
const KILL_PATIENCE: Duration = Duration::from_secs(10);

/// Whose processes are meant.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scope {
    pub(super) world_id: Uuid,
    pub(super) session_id: Uuid,
    /// The first process, where one is known; it may have ended.
    pub(super) leader: Option<Identity>,
}

impl Scope {
    /// Those that live.
    pub(super) fn living(&self) -> Vec<Identity> {
        let all = processes::all();
        let leader = self.leader.filter(|leader| all.get(&leader.pid).is_none_or(|now| now.started == leader.started));
        // A group's number is not given out again while the group has members, and a group is younger than its first process.
        let in_group = |group: i32, started: u64| leader.is_some_and(|l| l.pid == group && started >= l.started);
        let ours = all
            .iter()
            .filter(|(pid, process)| {
                in_group(process.group, process.started)
                    || marks(**pid).is_some_and(|(world, session)| (world, session) == (self.world_id, self.session_id))
            })
            .map(|(pid, _)| *pid)
            .collect::<HashSet<_>>();
        let me = std::process::id().cast_signed();
        let belongs = |pid: &i32| *pid != me && processes::owner(*pid, &all, |pid| ours.contains(&pid)).is_some();
        let living = all.iter().filter(|(pid, process)| !process.ended && belongs(pid));
        living.map(|(pid, process)| Identity { pid: *pid, started: process.started }).collect()
    }

    /// Asks all of them to end, waits up to `grace` for the last one, then kills. False where one would not go.
    pub(super) async fn end(&self, grace: Duration) -> bool {
        if !grace.is_zero() && self.until_gone(grace, Signal::TERM).await {
            return true;
        }
        self.until_gone(KILL_PATIENCE, Signal::KILL).await
    }

    /// SIGTERM reaches each process once: many programs take a second one for "at once".
    async fn until_gone(&self, within: Duration, signal: Signal) -> bool {
        let (deadline, mut pause) = (Instant::now() + within, FIRST_LOOK);
        let mut told = HashSet::new();
        loop {
            let living = self.living();
            if living.is_empty() {
                return true;
            }
            for identity in living {
                if signal == Signal::KILL || told.insert(identity) {
                    send(identity, signal);
                }
            }
            if Instant::now() >= deadline {
                return false;
            }
            sleep(pause.min(deadline - Instant::now())).await;
            pause = (pause * 2).min(LONGEST_LOOK);
        }
    }
}

/// Sends a signal to a process if it is still that one.
pub(super) fn send(identity: Identity, signal: Signal) {
    if let Some(handle) = process::handle(identity) {
        let _ = pidfd_send_signal(handle, signal); // gone in between is what is wanted
    }
}

/// The world and the session whose marks a process carries.
pub(super) fn marks(pid: i32) -> Option<(Uuid, Uuid)> {
    let environment = fs::read(format!("/proc/{pid}/environ")).ok()?;
    let id = |name| Uuid::try_parse_ascii(value(&environment, name)?).ok();
    Some((id(WORLD_MARK)?, id(SESSION_MARK)?))
}

/// A variable in an environment as the kernel shows it.
pub(super) fn value<'a>(environment: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let mut entries = environment.split(|byte| *byte == 0);
    entries.find_map(|entry| entry.strip_prefix(name.as_bytes())?.strip_prefix(b"="))
}
