//! Commands that are old, late, repeated, or about nothing.

use std::time::Duration;

use streams::subject::Verb;
use streams::wire::{SessionState, SessionStatus};

use super::same;
use crate::Lane;
use crate::account::{Finding, Outcome};
use crate::book::{Ack, Heard};
use crate::engine::Sent;
use crate::exam::Exam;
use crate::session::{PATIENCE, Session};

/// What a wrong report may take to come after the right one.
const AFTERTHOUGHT: Duration = Duration::from_millis(500);

/// A core-lane controller need not know generations; one that reports them is held to them.
fn knows_generations(exam: &Exam, status: &SessionStatus) -> Option<Outcome> {
    (exam.engine.lane == Lane::Core && (status.generation.is_none() || status.causation_id.is_none()))
        .then(|| Outcome::Absent("its reports in the core lane have no generation and causation_id".into()))
}

pub(super) async fn newer_generation(exam: &Exam) -> Finding {
    let session = Session::new(exam);
    let first = session.reach(Verb::SessionCreate, 1).await?;
    let second = session.reach(Verb::SessionWake, 5).await?;
    same(&second.pod_name, &first.pod_name, "pod_name after a newer generation")?;
    same(&second.url, &first.url, "url after a newer generation")?;
    session.reach(Verb::SessionHibernate, 90).await?;
    session.delete(1_000_000).await?;
    Ok(Outcome::Passed)
}

/// The answer to a stale command: what is there, with the generation that is there. While the newer command is still in hand it may
/// also be acknowledged without a report, because the newer one's report concludes both.
async fn answered_with(
    exam: &Exam,
    session: &Session<'_>,
    sent: &Sent,
    state: SessionState,
    generation: i64,
) -> Result<(), String> {
    let concluded = |heard: &Heard| match heard {
        Heard::Session(status) if status.causation_id == Some(sent.event_id) && !is_step(status.status) => {
            Some(Some(status.clone()))
        }
        Heard::Ack(one, Ack::Done) if *one == sent.sequence => Some(None),
        _ => None,
    };
    let answer = exam.engine.book.wait(sent.since, PATIENCE, concluded).await;
    let (verb, old) = (sent.verb.name(), sent.generation);
    let answer = answer.ok_or_else(|| format!("a stale {verb} of generation {old} was not answered"))?;
    match answer {
        Some(status) => {
            let what = format!("state and generation in the answer to a stale {verb} of generation {old}");
            same(&(status.status, status.generation), &(state, Some(generation)), &what)
        }
        None => stays(exam, session, state).await,
    }
}

const fn is_step(state: SessionState) -> bool {
    use SessionState::{Creating, Deleting, Hibernating, Waking};
    matches!(state, Creating | Waking | Hibernating | Deleting)
}

pub(super) async fn stale_generation(exam: &Exam) -> Finding {
    let session = Session::new(exam);
    let running = session.reach(Verb::SessionCreate, 7).await?;
    if let Some(absent) = knows_generations(exam, &running) {
        session.delete(8).await?;
        return Ok(absent);
    }
    let traces = exam.traces(session.id).await?;
    for verb in [Verb::SessionHibernate, Verb::SessionDelete, Verb::SessionWake] {
        let sent = session.send(verb, 6).await?;
        answered_with(exam, &session, &sent, SessionState::Running, 7).await?;
    }
    same(&exam.traces(session.id).await?, &traces, "what the witness sees after stale commands")?;
    session.reach(Verb::SessionHibernate, 8).await?;
    let late = session.send(Verb::SessionWake, 7).await?;
    answered_with(exam, &session, &late, SessionState::Hibernated, 8).await?;
    session.delete(9).await?;
    Ok(Outcome::Passed)
}

pub(super) async fn duplicates(exam: &Exam) -> Finding {
    let session = Session::new(exam);
    let create = session.send(Verb::SessionCreate, 1).await?;
    let running = session.done(create.clone()).await?;
    if let Some(absent) = knows_generations(exam, &running) {
        session.delete(3).await?;
        return Ok(absent);
    }
    let hibernate = session.send(Verb::SessionHibernate, 2).await?;
    session.done(hibernate.clone()).await?;
    let again = exam.engine.again(&create, 1).await?;
    answered_with(exam, &session, &again, SessionState::Hibernated, 2).await?;
    session.done(exam.engine.again(&hibernate, 1).await?).await?;
    let delete = session.send(Verb::SessionDelete, 3).await?;
    session.done(delete.clone()).await?;
    let late = exam.engine.again(&create, 1).await?;
    answered_with(exam, &session, &late, SessionState::Deleted, 3).await?;
    session.done(exam.engine.again(&delete, 1).await?).await?;
    exam.leaves_nothing(session.id).await?;
    Ok(Outcome::Passed)
}

pub(super) async fn reorder(exam: &Exam) -> Finding {
    let session = Session::new(exam);
    let running = session.reach(Verb::SessionCreate, 1).await?;
    if let Some(absent) = knows_generations(exam, &running) {
        session.delete(2).await?;
        return Ok(absent);
    }
    // two at once, the older one behind: it finds the newer one's work, or is overtaken while it waits
    let newer = session.send(Verb::SessionHibernate, 3).await?;
    let older = session.send(Verb::SessionWake, 2).await?;
    session.done(newer).await?;
    ends(exam, &older).await?;
    stays(exam, &session, SessionState::Hibernated).await?;
    let gone = session.send(Verb::SessionDelete, 5).await?;
    let late = session.send(Verb::SessionWake, 4).await?;
    session.done(gone).await?;
    ends(exam, &late).await?;
    stays(exam, &session, SessionState::Deleted).await?;
    exam.leaves_nothing(session.id).await?;
    Ok(Outcome::Passed)
}

/// An older command that a newer one overtook is acknowledged, with a report of its own or without.
async fn ends(exam: &Exam, sent: &Sent) -> Result<(), String> {
    let ended = |heard: &Heard| matches!(heard, Heard::Ack(one, Ack::Done) if *one == sent.sequence).then_some(());
    if exam.engine.lane == Lane::Durable {
        let ended = exam.engine.book.wait(sent.since, PATIENCE, ended).await;
        ended.ok_or_else(|| format!("an older {} was not acknowledged", sent.verb.name()))?;
    }
    Ok(())
}

async fn stays(exam: &Exam, session: &Session<'_>, state: SessionState) -> Result<(), String> {
    tokio::time::sleep(AFTERTHOUGHT).await;
    same(&exam.last_state(session.id), &Some(state), "the last report after commands out of order")
}

pub(super) async fn delete_unknown(exam: &Exam) -> Finding {
    let session = Session::new(exam);
    session.delete(3).await?;
    Ok(Outcome::Passed)
}

pub(super) async fn unknown_session(exam: &Exam) -> Finding {
    let session = Session::new(exam);
    let sent = session.send(Verb::SessionHibernate, 2).await?;
    let status = session.conclusion(&sent).await?;
    if status.status == SessionState::Running || status.url.is_some() {
        return Err(format!("it should not run, and was reported as {} at {:?}", status.status.as_str(), status.url));
    }
    session.delete(3).await?;
    let woken = Session::new(exam); // a wake carries everything, so it makes what is not there
    woken.reach(Verb::SessionWake, 1).await?;
    woken.delete(2).await?;
    Ok(Outcome::Passed)
}
