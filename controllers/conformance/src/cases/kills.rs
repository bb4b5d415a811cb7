//! kill -9, with commands at every stage; each kill is shared by all that is to be seen after it.

use futures::future::try_join_all;
use streams::subject::Verb;
use streams::wire::{SessionState, SessionStatus};
use tokio::time::Instant;

use super::same;
use crate::account::{Finding, Outcome};
use crate::book::Heard;
use crate::engine::Sent;
use crate::exam::Exam;
use crate::session::Session;
use crate::{Lane, Promise};

/// Sessions that are created around each kill.
const STARTS: usize = 6;

/// When the controller is killed.
#[derive(Debug, Clone, Copy)]
enum Moment {
    /// As soon as the commands are published.
    Sent,
    /// When the first report about one of them is there.
    Begun,
    /// When the first of them is done.
    FirstDone,
}

/// What lives through all kills.
struct Witnesses<'a> {
    runs: Session<'a>,
    running: SessionStatus,
    sleeps: Session<'a>,
    /// What the witness sees of a session that runs.
    things: usize,
}

type Work<'a> = Vec<(Session<'a>, Sent)>;

pub(crate) async fn check(exam: &Exam) -> Result<(), String> {
    let (runs, sleeps) = (Session::new(exam), Session::new(exam));
    let running = runs.reach(Verb::SessionCreate, 1).await?;
    let things = exam.traces(runs.id).await?.len();
    sleeps.reach(Verb::SessionCreate, 1).await?;
    sleeps.reach(Verb::SessionHibernate, 2).await?;
    let kept = Witnesses { runs, running, sleeps, things };
    let began = Instant::now();
    let mut work = Vec::new();
    for moment in [Moment::Sent, Moment::Begun, Moment::FirstDone] {
        work.extend(round(exam, moment).await.map_err(|why| format!("killed at {moment:?}: {why}"))?);
        let world = exam.heartbeat().and_then(|heartbeat| heartbeat.world_id);
        let heartbeat = exam.restart(&[]).await.map_err(|why| format!("started again after a kill: {why}"))?;
        same(&heartbeat.world_id, &world, "world_id after a restart")?;
        exam.found(Promise::RestartAdopts, adopted(exam, &kept).await, began);
        settle(exam).await?;
    }
    exam.found(Promise::Killed, finished(exam, work, kept.things).await, began);
    let began = Instant::now();
    let taken = match exam.only_durable("standby: every process would carry out every command") {
        Some(absent) => Ok(absent),
        None => standby(exam, &kept).await,
    };
    exam.found(Promise::Standby, taken, began);
    exam.found(Promise::RestartAdopts, adopted(exam, &kept).await, began);
    kept.runs.delete(50).await?;
    kept.sleeps.delete(50).await
}

/// Publishes a batch and kills the controller in the midst of it.
async fn round(exam: &Exam, moment: Moment) -> Result<Work<'_>, String> {
    let (hibernated, deleted) = (Session::new(exam), Session::new(exam));
    hibernated.reach(Verb::SessionCreate, 1).await?;
    deleted.reach(Verb::SessionCreate, 1).await?;
    let since = exam.engine.book.mark();
    let mut work = Vec::new();
    for _ in 0..STARTS {
        let session = Session::new(exam);
        let sent = session.send(Verb::SessionCreate, 1).await?;
        work.push((session, sent));
    }
    let sent = hibernated.send(Verb::SessionHibernate, 2).await?;
    work.push((hibernated, sent));
    let sent = deleted.send(Verb::SessionDelete, 2).await?;
    work.push((deleted, sent));
    let ids = work.iter().map(|(session, _)| session.id).collect::<Vec<_>>();
    let about = |heard: &Heard, done: bool| {
        let Heard::Session(status) = heard else { return None };
        let is_done =
            !matches!(status.status, SessionState::Creating | SessionState::Hibernating | SessionState::Deleting);
        (ids.contains(&status.session_id) && (is_done || !done)).then_some(())
    };
    match moment {
        Moment::Sent => {}
        Moment::Begun => _ = exam.engine.book.wait(since, crate::exam::START, |heard| about(heard, false)).await,
        Moment::FirstDone => _ = exam.engine.book.wait(since, crate::exam::START, |heard| about(heard, true)).await,
    }
    exam.kill().await;
    Ok(work)
}

/// Waits until it works again: JetStream waits for the killed process for a while.
async fn settle(exam: &Exam) -> Result<(), String> {
    let probe = Session::new(exam);
    probe.reach(Verb::SessionCreate, 1).await.map_err(|why| format!("a create after a kill: {why}"))?;
    probe.delete(2).await
}

/// What ran before still runs, in the same place.
async fn adopted(exam: &Exam, kept: &Witnesses<'_>) -> Finding {
    if exam.engine.lane == Lane::Durable {
        let item = |id| {
            exam.engine.book.newest(|heard| match heard {
                Heard::Inventory(page) => {
                    page.sessions.iter().find(|one| one.session_id == id).map(|one| (one.status, one.generation))
                }
                _ => None,
            })
        };
        same(
            &item(kept.runs.id),
            &Some((SessionState::Running, Some(1))),
            "what runs, in the inventory after a restart",
        )?;
        same(&item(kept.sleeps.id), &Some((SessionState::Hibernated, Some(2))), "what is hibernated, in it")?;
    }
    if let Some(url) = &kept.running.url {
        exam.browser.open(url).await.map_err(|why| format!("after a restart {why}"))?;
    }
    same(&exam.traces(kept.runs.id).await?.len(), &kept.things, "the number of things that the witness sees")?;
    let sent = kept.runs.send(Verb::SessionWake, 1).await?;
    let again = kept.runs.done(sent).await?;
    let identity = |status: &SessionStatus| (status.url.clone(), status.pod_name.clone());
    same(&identity(&again), &identity(&kept.running), "url and pod_name after a restart")?;
    Ok(Outcome::Passed)
}

/// Every command has reached its goal, each once.
async fn finished(exam: &Exam, work: Work<'_>, things: usize) -> Finding {
    try_join_all(work.iter().map(|(session, sent)| finished_one(exam, session, sent, things))).await?;
    try_join_all(work.iter().map(|(session, _)| session.delete(9))).await?;
    Ok(exam.witnessed())
}

async fn finished_one(exam: &Exam, session: &Session<'_>, sent: &Sent, things: usize) -> Result<(), String> {
    let status = session.done(sent.clone()).await?;
    let traces = exam.traces(session.id).await?;
    match status.status {
        SessionState::Running if exam.witness.is_some() => {
            same(&traces.len(), &things, &format!("the number of things that the witness sees of {traces:?}"))
        }
        SessionState::Deleted => exam.leaves_nothing(session.id).await,
        _ => Ok(()),
    }
}

/// A second process with the same id and the same state waits, or ends and is started again by whoever supervises it.
async fn standby(exam: &Exam, kept: &Witnesses<'_>) -> Finding {
    let mut second = exam.program.start(&[]).map_err(|error| error.to_string())?;
    let mut work = round_beside(exam).await?;
    exam.kill().await;
    for _ in 0..STARTS {
        let session = Session::new(exam);
        let sent = session.send(Verb::SessionCreate, 1).await?;
        work.push((session, sent));
    }
    if second.ended().is_some() {
        exam.restart(&[]).await?;
    } else {
        *exam.running.lock().await = Some(second);
    }
    finished(exam, work, kept.things).await
}

async fn round_beside(exam: &Exam) -> Result<Work<'_>, String> {
    let mut work = Vec::new();
    for _ in 0..STARTS {
        let session = Session::new(exam);
        let sent = session.send(Verb::SessionCreate, 1).await?;
        work.push((session, sent));
    }
    let (session, sent) = work.first().ok_or("there is no work")?;
    session.done(sent.clone()).await?;
    Ok(work)
}
