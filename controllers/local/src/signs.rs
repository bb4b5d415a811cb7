//! Supervised loops that look at all sessions together from time to time: whether they are in use (connections, CPU and
//! memory), which is reported when it matters, and that none has too many processes.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, PoisonError, Weak},
    time::Duration,
};

use streams::tasks::{Role, Task};
use tokio::time::{Instant, sleep};

use super::{
    Sessions, Shared, connections::Counter, processes, session::Session, sockets, state::Identity, usage::Meter,
};

/// Starts the loops, which run until the driver is dropped. Without sessions that run they read nothing.
pub(super) fn supervise(shared: &Arc<Shared>, sessions: &Arc<Sessions>) {
    let (tasks, cancel) = (&shared.config.tasks, shared.closed.clone());
    let (with, of) = (shared.clone(), Arc::downgrade(sessions));
    tasks.spawn("local connections", Role::Supporting, &cancel, move |task| {
        let (shared, sessions) = (with.clone(), of.clone());
        async move { until_closed(&task, count(&shared, &sessions, &task)).await }
    });
    let (with, of) = (shared.clone(), Arc::downgrade(sessions));
    tasks.spawn("local usage", Role::Supporting, &cancel, move |task| {
        let (shared, sessions) = (with.clone(), of.clone());
        async move { until_closed(&task, measure(&shared, &sessions, &task)).await }
    });
    let (with, of) = (shared.clone(), Arc::downgrade(sessions));
    tasks.spawn("local processes", Role::Supporting, &cancel, move |task| {
        let (shared, sessions) = (with.clone(), of.clone());
        async move { until_closed(&task, bound(&shared, &sessions, &task)).await }
    });
}

/// A run of a loop; it ends at once when the driver is dropped.
async fn until_closed(task: &Task, run: impl Future<Output = ()>) {
    task.cancel().run_until_cancelled(run).await;
}

/// Reports sessions whose number of connections has changed.
async fn count(shared: &Shared, sessions: &Weak<Sessions>, task: &Task) {
    let mut counter = Counter::default();
    loop {
        let sessions = after(shared.config.connections_interval, sessions).await;
        task.work(async { count_once(shared, &mut counter, &sessions) }).await;
    }
}

fn count_once(shared: &Shared, counter: &mut Counter, sessions: &[Arc<Session>]) {
    let live = sessions.iter().filter_map(|session| Some((session, session.live_port()?))).collect::<Vec<_>>();
    if live.is_empty() {
        return;
    }
    let (ports, ours) = (live.iter().map(|(_, port)| *port).collect::<HashSet<_>>(), shared.probes.ports());
    let counts = counter.count(&sockets::all(), &ports, |(ip, port)| ip.is_loopback() && ours.contains(&port));
    let changed = |(session, port): &(&Arc<Session>, u16)| session.connected(counts.get(port).copied().unwrap_or(0));
    live.into_iter().filter(changed).for_each(|(session, _)| shared.changed(session.id));
}

/// Reports sessions whose usage counts as use, or has changed.
async fn measure(shared: &Shared, sessions: &Weak<Sessions>, task: &Task) {
    let mut meter = Meter::default();
    loop {
        let sessions = after(shared.config.usage_interval, sessions).await;
        task.work(async { measure_once(shared, &mut meter, &sessions) }).await;
    }
}

fn measure_once(shared: &Shared, meter: &mut Meter, sessions: &[Arc<Session>]) {
    let live = live(sessions);
    if live.is_empty() {
        return;
    }
    let used = meter.read(live.iter().map(|(identity, _)| identity.pid), Instant::now());
    let matters = |(identity, session): &(Identity, &Arc<Session>)| {
        used.get(&identity.pid).is_some_and(|usage| session.uses(*usage))
    };
    live.into_iter().filter(matters).for_each(|(_, session)| shared.changed(session.id));
}

/// Ends sessions that have too many processes. A user with a uid of their own is kept from that by the kernel.
async fn bound(shared: &Shared, sessions: &Weak<Sessions>, task: &Task) {
    loop {
        let sessions = after(shared.config.processes_interval, sessions).await;
        task.work(bound_once(shared, &sessions)).await;
    }
}

async fn bound_once(shared: &Shared, sessions: &[Arc<Session>]) {
    let live = live(sessions);
    if live.is_empty() {
        return;
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

/// The sessions that run, with their first processes.
fn live(sessions: &[Arc<Session>]) -> Vec<(Identity, &Arc<Session>)> {
    sessions.iter().filter_map(|session| Some((session.leader()?, session))).collect()
}

/// The sessions after a while. Once the driver is gone it waits to be cancelled.
async fn after(pause: Duration, sessions: &Weak<Sessions>) -> Vec<Arc<Session>> {
    sleep(pause).await;
    let Some(sessions) = sessions.upgrade() else { return std::future::pending().await };
    let sessions = sessions.lock().unwrap_or_else(PoisonError::into_inner);
    sessions.values().cloned().collect()
}
