//! After a start: whose process lives on, whose is gone, and what runs though nothing here knows it.
//!
//! Processes carry the world's and the session's id in their environment and hand it to all that they start, so that a
//! world finds everything of its own again. A program that clears its environment and leaves its process group escapes
//! this; only a container would hold it.

use std::{fs, io, path::Path, sync::Arc};

use rustix::process::{Signal, pidfd_send_signal};
use uuid::Uuid;

use super::{
    Shared,
    plan::{SESSION_MARK, WORLD_MARK},
    process,
    session::Session,
    state::{Identity, Phase, State},
};

/// Rounds against a program that starts new processes while its old ones are ended.
const ROUNDS: usize = 50;

/// Every session that has a folder, as far as its processes are concerned put in order.
pub(super) fn sessions(shared: &Arc<Shared>) -> io::Result<Vec<Arc<Session>>> {
    let mut sessions = Vec::new();
    let mut live = Vec::new();
    for entry in fs::read_dir(shared.sessions_folder())? {
        let Some(state) = load(&entry?.path()) else { continue };
        let (phase, identity) = (state.phase, state.process);
        let session = Session::new(state, shared.clone());
        let wanted = matches!(phase, Phase::Starting | Phase::Running);
        if wanted && identity.is_some_and(|identity| session.adopt(identity).is_some()) {
            live.push(session.id);
        }
        sessions.push((session, phase, identity));
    }
    end_marked(shared.world_id, |session| !live.contains(&session));
    for (session, phase, identity) in &sessions {
        if !live.contains(&session.id) {
            identity.iter().copied().for_each(process::reap);
            finish(session, *phase);
        }
    }
    Ok(sessions.into_iter().map(|(session, ..)| session).filter(|session| !session.gone()).collect())
}

/// A folder without a state was never promised to anybody: it is left alone, and said.
fn load(folder: &Path) -> Option<State> {
    let state = State::load(folder);
    state
        .inspect_err(|e| tracing::warn!(folder = %folder.display(), error = %e, "a session folder without a state"))
        .ok()
}

/// Goes on where the last run ended.
fn finish(session: &Session, phase: Phase) {
    let done = match phase {
        Phase::Starting | Phase::Running => {
            session.died("the process ended while no controller was there");
            Ok(())
        }
        Phase::Hibernating => session.finish_hibernation(),
        Phase::Deleting => session.finish_deletion(),
        Phase::Hibernated | Phase::Failed => Ok(()),
    };
    if let Err(e) = done {
        tracing::warn!(session.id = %session.id, error = %e.message, "what the last run began could not be finished");
    }
}

/// Kills every process of this world whose session is one of `doomed`, until none is left.
pub(super) fn end_marked(world_id: Uuid, doomed: impl Fn(Uuid) -> bool) {
    for _ in 0..ROUNDS {
        let found = marked(world_id).into_iter().filter(|(session, _)| doomed(*session)).collect::<Vec<_>>();
        if found.is_empty() {
            return;
        }
        for (session, identity) in found {
            tracing::info!(session.id = %session, process.pid = identity.pid, "ends a process that its session left");
            if let Some(handle) = process::handle(identity) {
                let _ = pidfd_send_signal(handle, Signal::KILL); // gone in between is what is wanted
            }
        }
    }
}

/// The living processes of a world and their sessions.
fn marked(world_id: Uuid) -> Vec<(Uuid, Identity)> {
    let Ok(processes) = fs::read_dir("/proc") else { return Vec::new() };
    let pids = processes.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| pid.cast_unsigned() != std::process::id()).filter_map(|pid| mark(pid, world_id)).collect()
}

/// Start time first: if the number changes hands in between, the later comparison fails and nobody is hit.
fn mark(pid: i32, world_id: Uuid) -> Option<(Uuid, Identity)> {
    let started = process::started(pid)?;
    let environment = fs::read(format!("/proc/{pid}/environ")).ok()?;
    let value = |name: &str| {
        let entries = environment.split(|byte| *byte == 0);
        let value = entries.filter_map(|e| e.strip_prefix(name.as_bytes())?.strip_prefix(b"=")).next()?;
        Uuid::try_parse_ascii(value).ok()
    };
    (value(WORLD_MARK)? == world_id).then_some(())?;
    Some((value(SESSION_MARK)?, Identity { pid, started }))
}
