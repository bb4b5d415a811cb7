//! SIGTERM, and a start with a limit of sessions.

use std::time::Duration;

use futures::future::try_join_all;
use streams::subject::Verb;
use streams::wire::SessionState;
use tokio::time::Instant;

use super::same;
use crate::Promise;
use crate::account::{Finding, Outcome};
use crate::exam::Exam;
use crate::session::Session;

/// How long a controller may take to end after SIGTERM.
const STOP: Duration = Duration::from_secs(30);
/// The limit of sessions.
const LIMIT: u32 = 2;

pub(crate) async fn check(exam: &Exam) -> Result<(), String> {
    let began = Instant::now();
    let runs = Session::new(exam);
    let running = runs.reach(Verb::SessionCreate, 1).await?;
    let traces = exam.traces(runs.id).await?;
    let more = [Session::new(exam), Session::new(exam), Session::new(exam)];
    let mut commands = Vec::new();
    for session in &more {
        commands.push(session.send(Verb::SessionCreate, 1).await?);
    }
    let process = exam.running.lock().await.take().ok_or("it does not run")?;
    let ended = process.stop(STOP).await;
    let stayed = async {
        same(&ended, &true, &format!("whether it ended within {STOP:?} after SIGTERM"))?;
        same(
            &exam.traces(runs.id).await?,
            &traces,
            "what the witness sees of a session after its controller has ended",
        )?;
        match &running.url {
            Some(url) => exam.browser.open(url).await.map_err(|why| format!("after its controller has ended {why}")),
            None => Ok(false),
        }
    };
    let stayed = stayed.await;
    let limit = LIMIT.to_string();
    exam.restart(&[("SESSIONS_MAX", limit.clone()), ("STREAMSPACE_SESSIONS_MAX", limit)]).await?;
    let unfinished = try_join_all(more.iter().zip(commands).map(|(session, sent)| async move {
        match session.done(sent).await {
            Err(why) if why.contains("no_capacity") => Ok(()), // with the limit of this start it may be one too many
            other => other.map(drop),
        }
    }));
    let finished = unfinished.await;
    let stopped = stayed.and_then(|_| finished.map(|_| Outcome::Passed));
    exam.found(Promise::StopInOrder, stopped, began);
    for session in &more {
        session.delete(2).await?;
    }
    let began = Instant::now();
    exam.found(Promise::NoCapacity, no_capacity(exam).await, began);
    runs.delete(2).await
}

/// One session runs already. The engine keeps to the limit by what heartbeats say; a controller may hold to it by itself, too.
async fn no_capacity(exam: &Exam) -> Finding {
    let announced = exam.heartbeat().and_then(|heartbeat| heartbeat.capacity).map(|capacity| capacity.sessions_max);
    if announced != Some(LIMIT) {
        let found = announced.map_or("no limit".to_owned(), |limit| limit.to_string());
        return Ok(Outcome::NotSeen(format!("started with SESSIONS_MAX={LIMIT}, its heartbeat announces {found}")));
    }
    let (fits, beyond) = (Session::new(exam), Session::new(exam));
    fits.reach(Verb::SessionCreate, 1).await?;
    let sent = beyond.send(Verb::SessionCreate, 1).await?;
    let status = beyond.conclusion(&sent).await?;
    let finding = match (status.status, status.error) {
        (SessionState::Running, _) => Ok(Outcome::Passed),
        (SessionState::Failed, Some(error)) => {
            let what = "code, retryable and user_error of a start beyond the limit";
            same(&(error.code.as_str(), error.retryable, error.user_error), &("no_capacity", true, false), what)
                .map(|()| Outcome::Passed)
        }
        (state, _) => Err(format!("a start beyond the limit was reported as {}", state.as_str())),
    };
    fits.delete(2).await?;
    beyond.delete(2).await?;
    finding
}
