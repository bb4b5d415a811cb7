//! After a start: whose process lives on, whose is gone, and what runs though nothing here knows it.
//!
//! Processes carry the world's and the session's id in their environment and hand it to all that they start, so that a
//! world finds everything of its own again. A program that clears its environment and leaves its process group escapes
//! this; only a container would hold it.

use std::{
    collections::HashSet,
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustix::process::Signal;
use uuid::Uuid;

use super::{
    Shared, members, policy, process, processes,
    session::Session,
    state::{Identity, Phase, State},
};

/// Rounds against a program that starts new processes while its old ones are ended.
const ROUNDS: usize = 50;

/// Every session that has a folder, as far as its processes are concerned put in order.
pub(super) fn sessions(shared: &Arc<Shared>) -> io::Result<Vec<Arc<Session>>> {
    let mut sessions = Vec::new();
    let mut live = HashSet::new();
    for entry in fs::read_dir(shared.sessions_folder())? {
        let Some(state) = load(&entry?.path(), shared.world_id) else { continue };
        let (phase, identity) = (state.phase, state.process);
        let session = Session::new(state, shared.clone());
        let wanted = matches!(phase, Phase::Starting | Phase::Running);
        if wanted && identity.is_some_and(|identity| session.adopt(identity).is_some()) {
            live.insert(session.id);
            resume(&session);
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

/// It uses its home, and is watched as before.
fn resume(session: &Arc<Session>) {
    let (home, process, ready) = {
        let mut now = session.now();
        now.settling = now.state.phase == Phase::Starting;
        (now.state.home.clone(), now.state.process, !now.settling)
    };
    let shares = policy::shares_home(&session.spec());
    let claimed = home.map(|home| session.shared.homes.claim(&home, session.id, shares));
    if let Some(Err(e)) = claimed {
        tracing::warn!(session.id = %session.id, error = %e.message, "two running sessions have one home");
    }
    if let Some(identity) = process.filter(|_| ready) {
        session.check_liveness(identity);
    }
}

/// What a folder says of its session. One that cannot be read ends nothing: its processes are asked instead. A folder without
/// a state was never promised to anybody: it is left alone, and said.
fn load(folder: &Path, world_id: Uuid) -> Option<State> {
    let error = match State::load(folder) {
        Ok(state) => return Some(state),
        Err(error) => error,
    };
    let id = folder.file_name()?.to_str()?.parse::<Uuid>().ok();
    let process = id.and_then(|id| first_process(id, world_id));
    if process.is_none() && error.kind() == io::ErrorKind::NotFound {
        tracing::warn!(folder = %folder.display(), %error, "a session folder without a state");
        return None;
    }
    tracing::error!(folder = %folder.display(), %error, process.pid = process.map(|process| process.pid),
        "the state of a session cannot be read; it is kept, and the next command for it writes it anew");
    let environment = process.and_then(|process| fs::read(environ(process.pid)).ok()).unwrap_or_default();
    Some(State::salvaged(id?, process, &environment))
}

fn environ(pid: i32) -> PathBuf {
    format!("/proc/{pid}/environ").into()
}

/// The process of a session that leads its group: the one that the driver started. The oldest, should there be several.
fn first_process(session: Uuid, world_id: Uuid) -> Option<Identity> {
    let all = processes::all();
    let leads = all.iter().filter(|(pid, process)| process.group == **pid && !process.ended);
    let ours = leads.filter(|(pid, _)| members::marks(**pid) == Some((world_id, session)));
    let oldest = ours.min_by_key(|(pid, process)| (process.started, **pid));
    oldest.map(|(pid, process)| Identity { pid: *pid, started: process.started })
}

/// Goes on where the last run ended.
fn finish(session: &Session, phase: Phase) {
    let done = match phase {
        Phase::Starting | Phase::Running => {
            session.died("the process ended while no controller was there");
            Ok(())
        }
        Phase::Hibernating => session.finish_hibernation(),
        Phase::Deleting => {
            let user_id = session.now().state.user_id.clone();
            session.finish_deletion(&user_id)
        }
        Phase::Hibernated | Phase::Failed => Ok(()),
    };
    if let Err(e) = done {
        tracing::warn!(session.id = %session.id, error = %e.message, "what the last run began could not be finished");
    }
}

/// Kills every process of this world whose session is one of `doomed`, until none is left.
fn end_marked(world_id: Uuid, doomed: impl Fn(Uuid) -> bool) {
    for _ in 0..ROUNDS {
        let found = marked(world_id).into_iter().filter(|(session, _)| doomed(*session)).collect::<Vec<_>>();
        if found.is_empty() {
            return;
        }
        for (session, identity) in found {
            tracing::info!(session.id = %session, process.pid = identity.pid, "ends a process that its session left");
            members::send(identity, Signal::KILL);
        }
    }
}

/// The living processes of a world and their sessions. The start time is from before the marks were read: if the number changes
/// hands in between, the later comparison fails and nobody is hit.
fn marked(world_id: Uuid) -> Vec<(Uuid, Identity)> {
    let all = processes::all();
    let mark = |(pid, process): (&i32, &processes::Process)| {
        let (world, session) = members::marks(*pid)?;
        let identity = Identity { pid: *pid, started: process.started };
        (world == world_id && !process.ended && pid.cast_unsigned() != std::process::id())
            .then_some((session, identity))
    };
    all.iter().filter_map(mark).collect()
}
