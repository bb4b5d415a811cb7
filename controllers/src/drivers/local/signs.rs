//! What tells that sessions are in use: connections and usage, looked at for all sessions together, and said when it matters.

use std::{
    sync::{Arc, PoisonError, Weak},
    time::Duration,
};

use tokio::time::{Instant, sleep};

use super::{Sessions, Shared, connections, session::Session, usage::Meter};

/// Looks from time to time until the driver is dropped. Without sessions that run it reads nothing.
pub(super) async fn look(shared: Arc<Shared>, sessions: Weak<Sessions>) {
    tokio::select! {
        () = count(&shared, &sessions) => {}
        () = measure(&shared, &sessions) => {}
        () = shared.closed.cancelled() => {}
    }
}

/// Says so when a session's number of connections is another one.
async fn count(shared: &Shared, sessions: &Weak<Sessions>) {
    while let Some(sessions) = after(shared.config.connections_interval, sessions).await {
        let live = sessions.iter().filter_map(|session| Some((session, session.live_port()?))).collect::<Vec<_>>();
        if live.is_empty() {
            continue;
        }
        let counts = connections::count();
        let changed =
            |(session, port): &(&Arc<Session>, u16)| session.connected(counts.get(port).copied().unwrap_or(0));
        live.into_iter().filter(changed).for_each(|(session, _)| shared.changed(session.id));
    }
}

/// Says so when a session's usage counts as use, or is another one.
async fn measure(shared: &Shared, sessions: &Weak<Sessions>) {
    let mut meter = Meter::default();
    while let Some(sessions) = after(shared.config.usage_interval, sessions).await {
        let live = sessions.iter().filter_map(|session| Some((session.live_pid()?, session))).collect::<Vec<_>>();
        if live.is_empty() {
            continue;
        }
        let used = meter.read(live.iter().map(|(pid, _)| *pid), Instant::now());
        let matters = |(pid, session): &(i32, &Arc<Session>)| used.get(pid).is_some_and(|usage| session.uses(*usage));
        live.into_iter().filter(matters).for_each(|(_, session)| shared.changed(session.id));
    }
}

/// The sessions after a while; `None` once the driver is gone.
async fn after(pause: Duration, sessions: &Weak<Sessions>) -> Option<Vec<Arc<Session>>> {
    sleep(pause).await;
    let sessions = sessions.upgrade()?;
    let sessions = sessions.lock().unwrap_or_else(PoisonError::into_inner);
    Some(sessions.values().cloned().collect())
}
