//! The last look: over all reports, all acknowledgements, and what is left.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use futures::future::try_join_all;
use streams::subject::{self, Report, Verb};
use streams::wire::SessionState;
use tokio::time::Instant;
use uuid::Uuid;

use super::same;
use crate::account::{Finding, Outcome};
use crate::book::{Ack, Heard};
use crate::engine::Sent;
use crate::exam::{Exam, START};
use crate::session::Session;
use crate::{Lane, Promise};

/// How long the last acknowledgements may take.
const ACKNOWLEDGED: Duration = Duration::from_secs(30);

pub(crate) async fn check(exam: &Exam) -> Result<(), String> {
    let began = Instant::now();
    exam.found(Promise::NothingLeft, nothing_left(exam).await, began);
    let began = Instant::now();
    exam.found(Promise::Reports, reports(exam), began);
    exam.found(Promise::ReportThenAck, report_then_ack(exam).await, began);
    Ok(())
}

/// A failed check leaves its sessions behind; what cannot be deleted now is left.
async fn nothing_left(exam: &Exam) -> Finding {
    let known = exam.sessions();
    let left = known.iter().filter(|id| exam.last_state(**id).is_some_and(|state| state != SessionState::Deleted));
    try_join_all(left.map(|id| async move {
        let session = Session { id: *id, ..Session::new(exam) };
        session.delete(i64::from(i32::MAX)).await
    }))
    .await?;
    if exam.engine.lane == Lane::Durable {
        let since = exam.engine.book.mark();
        let sync_id = exam.engine.ask_for_inventory().await?;
        let page = |heard: &Heard| match heard {
            Heard::Inventory(page) if page.sync_id == sync_id => Some(page.sessions.len()),
            _ => None,
        };
        let listed = exam.engine.book.wait(since, START, page).await.ok_or("it did not answer with its inventory")?;
        same(&listed, &0, "the number of sessions in the last inventory")?;
    }
    for id in known {
        exam.leaves_nothing(id).await?;
    }
    Ok(exam.witnessed())
}

/// Every report is one, and is where it belongs.
fn reports(exam: &Exam) -> Finding {
    let commands = exam.engine.sent().into_iter().map(|sent| (sent.event_id, sent)).collect::<HashMap<_, _>>();
    let (mut ids, mut wrong) = (BTreeMap::<Uuid, bytes::Bytes>::new(), None);
    exam.engine.book.each(0, |_, entry| {
        let checked = match &entry.heard {
            Heard::Unreadable(why) => Err(why.clone()),
            Heard::Session(status) => {
                let repeated =
                    ids.insert(status.event_id, entry.payload.clone()).filter(|first| *first != entry.payload);
                let reused = repeated.map(|_| Err(format!("event_id {} was used for two reports", status.event_id)));
                reused.unwrap_or(Ok(())).and_then(|()| report(exam, &entry.subject, status, &commands))
            }
            _ => Ok(()),
        };
        if let (Err(why), None) = (checked, &wrong) {
            wrong = Some(format!("{}: {why}\n{}", entry.subject, String::from_utf8_lossy(&entry.payload)));
        }
    });
    wrong.map_or(Ok(Outcome::Passed), Err)
}

fn report(
    exam: &Exam,
    subject: &str,
    status: &streams::wire::SessionStatus,
    commands: &HashMap<Uuid, Sent>,
) -> Result<(), String> {
    let durable = exam.engine.lane == Lane::Durable;
    let own = subject::report(Report::SessionStatus, &exam.engine.platform, &exam.engine.id);
    let expected = if durable { own } else { subject::bare_report(Report::SessionStatus) };
    same(&subject, &expected.as_str(), "the subject")?;
    if durable || status.controller_id.is_some() {
        same(&status.controller_id.as_deref(), &Some(exam.engine.id.as_str()), "controller_id")?;
    }
    if durable {
        same(&status.instance_id.is_some(), &true, "whether instance_id is there")?;
        same(&status.generation.is_some(), &true, "whether generation is there")?;
    }
    let Some(cause) = status.causation_id else { return Ok(()) };
    let command = commands.get(&cause).ok_or_else(|| format!("causation_id {cause} is of no command"))?;
    same(&Some(status.session_id), &command.session_id, "session_id")?;
    let older = status.generation.filter(|generation| *generation < command.generation);
    same(&older, &None, "a generation older than the command's")?;
    if durable {
        same(&status.attempt.is_some(), &true, "whether attempt is there")?;
    }
    Ok(())
}

/// In the durable lane: nothing is handed back for another try, and what is done was reported before.
async fn report_then_ack(exam: &Exam) -> Finding {
    if let Some(absent) = exam.only_durable("acknowledgements") {
        return Ok(absent);
    }
    same(&exam.engine.open_commands(ACKNOWLEDGED).await, &0, "the number of commands that were never acknowledged")?;
    let commands = exam.engine.sent();
    let mut reported = HashMap::<Uuid, usize>::new();
    let (mut acked, mut handed_back) = (HashMap::<u64, usize>::new(), 0);
    exam.engine.book.each(0, |index, entry| match &entry.heard {
        Heard::Session(status) => {
            let concludes = !matches!(status.status.as_str(), "creating" | "waking" | "hibernating" | "deleting");
            if let Some(cause) = status.causation_id.filter(|_| concludes) {
                reported.entry(cause).or_insert(index);
            }
        }
        Heard::Ack(sequence, Ack::Done) => _ = acked.entry(*sequence).or_insert(index),
        Heard::Ack(_, Ack::Nak) => handed_back += 1,
        _ => {}
    });
    for sent in commands.iter().filter(|sent| sent.session_id.is_some()) {
        let Some(done) = acked.get(&sent.sequence) else { continue }; // by a process that was killed as it did so
        let overtaken = commands.iter().any(|other| {
            other.session_id == sent.session_id
                && other.generation > sent.generation
                && sent.verb != Verb::SessionDelete
        });
        match reported.get(&sent.event_id) {
            Some(report) if report < done => {}
            None if overtaken => {} // the newer command's report concludes it
            _ => {
                return Err(format!(
                    "{} of session {:?} was acknowledged before its report",
                    sent.verb.name(),
                    sent.session_id
                ));
            }
        }
    }
    // a controller that is told to stop hands back what it has not begun
    tracing::debug!(handed_back, "commands were handed back");
    Ok(Outcome::Passed)
}
