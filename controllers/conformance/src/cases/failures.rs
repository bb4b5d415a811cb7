//! Starts that cannot succeed, and messages that are none.

use std::time::Duration;

use streams::subject::{self, Verb};
use streams::wire::{Manifest, SessionState, SessionStatus};
use tokio::time::Instant;

use super::same;
use crate::account::{Finding, Outcome};
use crate::book::{Ack, Heard};
use crate::exam::Exam;
use crate::session::{PATIENCE, Session};

/// How long the delete of a session that starts may take, its start being given up.
const CANCELLED: Duration = Duration::from_secs(15);
/// How far the start comes before it is cancelled, where it is not announced.
const BEGUN: Duration = Duration::from_millis(300);

fn with<'a>(exam: &'a Exam, template: &'a Manifest) -> Session<'a> {
    Session { template, ..Session::new(exam) }
}

/// The error of a start that failed.
fn failure(status: &SessionStatus) -> Result<&streams::wire::Failure, String> {
    same(&status.status, &SessionState::Failed, "the state of a start that cannot succeed")?;
    same(&status.url, &None, "the url of what does not run")?;
    let error = status.error.as_ref().ok_or("a failed start was reported without an error")?;
    same(
        &(error.code.is_empty() || error.message.is_empty()),
        &false,
        "whether code or message of the error is empty",
    )?;
    Ok(error)
}

pub(super) async fn bad_template(exam: &Exam) -> Finding {
    let Some(template) = &exam.options.templates.bad else {
        return Ok(Outcome::NotSeen("no template that cannot run is known (--bad-template)".into()));
    };
    let session = with(exam, template);
    let sent = session.send(Verb::SessionCreate, 1).await?;
    let status = session.conclusion(&sent).await?;
    let error = failure(&status)?;
    let about = format!("retryable and user_error of {:?}", error.code);
    same(&(error.retryable, error.user_error), &(false, true), &about)?;
    session.delete(2).await?;
    Ok(Outcome::Passed)
}

pub(super) async fn never_ready(exam: &Exam) -> Finding {
    let Some(template) = &exam.options.templates.unready else {
        return Ok(Outcome::NotSeen("no template that never becomes ready is known (--unready-template)".into()));
    };
    let session = with(exam, template);
    let sent = session.send(Verb::SessionCreate, 1).await?;
    let status = session.conclusion(&sent).await?;
    failure(&status)?;
    session.delete(2).await?;
    Ok(Outcome::Passed)
}

pub(super) async fn cancelled_start(exam: &Exam) -> Finding {
    let templates = &exam.options.templates;
    let session = with(exam, templates.unready.as_ref().unwrap_or(&templates.good));
    let created = session.send(Verb::SessionCreate, 1).await?;
    let begun =
        |heard: &Heard| matches!(heard, Heard::Session(status) if status.session_id == session.id).then_some(());
    exam.engine.book.wait(created.since, BEGUN, begun).await;
    let began = Instant::now();
    let deleted = session.send(Verb::SessionDelete, 2).await?;
    session.done(deleted).await?;
    if began.elapsed() > CANCELLED {
        return Err(format!("the delete waited for the start: it took {:?}", began.elapsed()));
    }
    exam.leaves_nothing(session.id).await?;
    tokio::time::sleep(BEGUN).await;
    same(&exam.last_state(session.id), &Some(SessionState::Deleted), "the last report")?;
    Ok(Outcome::Passed)
}

pub(super) async fn unreadable(exam: &Exam) -> Finding {
    let since = exam.engine.book.mark();
    let sequence = exam.engine.raw(Verb::SessionCreate, b"{ this is no JSON".to_vec()).await?;
    let session = Session::new(exam);
    session.reach(Verb::SessionCreate, 1).await?;
    session.delete(2).await?;
    if exam.only_durable("").is_some() {
        return Ok(Outcome::Passed); // there is nowhere to park it
    }
    let subject = subject::command(Verb::SessionCreate, &exam.engine.platform, &exam.engine.id);
    let parked = |heard: &Heard| matches!(heard, Heard::DeadLetter(original) if *original == subject).then_some(());
    let parked = exam.engine.book.wait(since, PATIENCE, parked).await;
    parked.ok_or_else(|| format!("it was not published to {}", subject::dead_letter(&subject)))?;
    let ended =
        |heard: &Heard| matches!(heard, Heard::Ack(one, Ack::Done | Ack::Term) if *one == sequence).then_some(());
    let ended = exam.engine.book.wait(since, PATIENCE, ended).await;
    ended.ok_or("it was neither terminated nor acknowledged after it was parked")?;
    Ok(Outcome::Passed)
}
