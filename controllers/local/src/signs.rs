//! What is looked at for all sessions together, from time to time: the signs that they are in use (connections and usage), said
//! when they matter, and that none has too many processes.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, PoisonError, Weak},
    time::Duration,
};

use tokio::time::{Instant, sleep};

use super::{
    Sessions, Shared, connections::Counter, processes, session::Session, sockets, state::Identity, usage::Meter,
};

/// Looks until the driver is dropped. Without sessions that run it reads nothing.
pub(super) async fn look(shared: Arc<Shared>, sessions: Weak<Sessions>) {
    tokio::select! {
        () = count(&shared, &sessions) => {}
        () = measure(&shared, &sessions) => {}
        () = bound(&shared, &sessions) => {}
        () = shared.closed.cancelled() => {}
    }
}

/// Says so when a session's number of connections is another one.
async fn count(shared: &Shared, sessions: &Weak<Sessions>) {
    let mut counter = Counter::default();
    while let Some(sessions) = after(shared.config.connections_interval, sessions).await {
        let live = sessions.iter().filter_map(|session| Some((session, session.live_port()?))).collect::<Vec<_>>();
        if live.is_empty() {
            continue;
        }
        let (ports, ours) = (live.iter().map(|(_, port)| *port).collect::<HashSet<_>>(), shared.probes.ports());
        let counts = counter.count(&sockets::all(), &ports, |(ip, port)| ip.is_loopback() && ours.contains(&port));
        let changed =
            |(session, port): &(&Arc<Session>, u16)| session.connected(counts.get(port).copied().unwrap_or(0));
        live.into_iter().filter(changed).for_each(|(session, _)| shared.changed(session.id));
    }
}

/// Says so when a session's usage counts as use, or is another one.
async fn measure(shared: &Shared, sessions: &Weak<Sessions>) {
    let mut meter = Meter::default();
    while let Some(sessions) = after(shared.config.usage_interval, sessions).await {
        let live = live(&sessions);
        if live.is_empty() {
            continue;
        }
        let used = meter.read(live.iter().map(|(identity, _)| identity.pid), Instant::now());
        let matters = |(identity, session): &(Identity, &Arc<Session>)| {
            used.get(&identity.pid).is_some_and(|usage| session.uses(*usage))
        };
        live.into_iter().filter(matters).for_each(|(_, session)| shared.changed(session.id));
    }
}

/// Ends a session that has too many processes. Where its user has a uid of its own the kernel does not let it come to that.
async fn bound(shared: &Shared, sessions: &Weak<Sessions>) {
    while let Some(sessions) = after(shared.config.processes_interval, sessions).await {
        let live = live(&sessions);
        if live.is_empty() {
            continue;
        }
        let (all, mut counts) = (processes::all(), HashMap::<i32, u64>::new());
        let leaders = live.iter().map(|(identity, _)| identity.pid).collect::<HashSet<_>>();
        for pid in all.keys() {
            let owner = processes::owner(*pid, &all, |pid| leaders.contains(&pid));
            owner.into_iter().for_each(|leader| *counts.entry(leader).or_default() += 1);
        }
        for (identity, session) in live {
            let count = counts.get(&identity.pid).copied().unwrap_or(0);
            if count > shared.config.processes_max {
                session.overran(identity, count).await;
            }
        }
    }
}

/// The sessions that run, with their first processes.
fn live(sessions: &[Arc<Session>]) -> Vec<(Identity, &Arc<Session>)> {
    sessions.iter().filter_map(|session| Some((session.leader()?, session))).collect()
}

/// The sessions after a while; `None` once the driver is gone.
async fn after(pause: Duration, sessions: &Weak<Sessions>) -> Option<Vec<Arc<Session>>> {
    sleep(pause).await;
    let sessions = sessions.upgrade()?;
    let sessions = sessions.lock().unwrap_or_else(PoisonError::into_inner);
    Some(sessions.values().cloned().collect())
}
