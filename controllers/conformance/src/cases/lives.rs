//! Sessions that are created, written to, hibernated, woken and deleted.

use controllers::promise::HOSTILE_USERS;
use futures::future::try_join_all;
use streams::subject::Verb;
use streams::wire::SessionStatus;
use uuid::Uuid;

use super::same;
use crate::Lane;
use crate::account::{Finding, Outcome};
use crate::exam::Exam;
use crate::session::Session;

pub(super) async fn create_twice(exam: &Exam) -> Finding {
    let session = Session::new(exam);
    let sent = session.send(Verb::SessionCreate, 1).await?;
    let first = session.done(sent.clone()).await?;
    announced(exam, &session)?;
    let traces = exam.traces(session.id).await?;
    let again = exam.engine.again(&sent, 2).await?;
    let second = session.done(again).await?;
    same(&identity(&second), &identity(&first), "url and pod_name after the second create")?;
    same(&exam.traces(session.id).await?, &traces, "what the witness sees after the second create")?;
    let other = Session::new(exam);
    let sent = other.send(Verb::SessionCreate, 1).await?;
    let again = exam.engine.again(&sent, 1).await?;
    let both = [other.done(sent).await?, other.done(again).await?];
    same(&identity(&both[1]), &identity(&both[0]), "url and pod_name of a session that was created twice at once")?;
    same(&exam.traces(other.id).await?.len(), &traces.len(), "the number of things that the witness sees of it")?;
    session.delete(2).await?;
    other.delete(2).await?;
    Ok(exam.witnessed())
}

fn identity(status: &SessionStatus) -> (Option<String>, Option<String>) {
    (status.url.clone(), status.pod_name.clone())
}

/// A report may be skipped on the way, but not be one of another step.
fn announced(exam: &Exam, session: &Session<'_>) -> Result<(), String> {
    use streams::wire::SessionState::{Creating, Pending, Running};
    let wrong = session.reports(0).into_iter().find(|status| ![Pending, Creating, Running].contains(&status.status));
    match wrong {
        Some(status) if exam.engine.lane == Lane::Durable => {
            Err(format!("a create was reported as {}", status.status.as_str()))
        }
        _ => Ok(()),
    }
}

pub(super) async fn page(exam: &Exam) -> Finding {
    let session = Session::new(exam);
    let running = session.reach(Verb::SessionCreate, 1).await?;
    let finding = written(exam, &running, "what was written").await;
    session.delete(2).await?;
    let finding = finding?;
    if let Some(url) = running.url.filter(|_| finding == Outcome::Passed)
        && exam.browser.open(&url).await.is_ok()
    {
        return Err(format!("{url} still opens after the session was deleted"));
    }
    Ok(finding)
}

async fn written(exam: &Exam, running: &SessionStatus, text: &str) -> Finding {
    let url = running.url.as_deref().ok_or("a running session has no url")?;
    if !exam.browser.open(url).await? {
        return Ok(Outcome::NotSeen(format!("{url} was not to be opened")));
    }
    if !exam.browser.write(url, text).await? {
        return Ok(Outcome::NotSeen(format!("{url} opens; its page takes no text")));
    }
    same(&exam.browser.read(url).await?.as_str(), &text, "what was read back")?;
    Ok(Outcome::Passed)
}

pub(super) async fn hibernate_wake(exam: &Exam) -> Finding {
    sleep_and_remember(exam, true).await
}

pub(super) async fn scratch_home(exam: &Exam) -> Finding {
    sleep_and_remember(exam, false).await
}

async fn sleep_and_remember(exam: &Exam, persistent_home: bool) -> Finding {
    let session = Session { persistent_home, ..Session::new(exam) };
    let running = session.reach(Verb::SessionCreate, 1).await?;
    let text = format!("remember {}", Uuid::new_v4());
    let wrote = written(exam, &running, &text).await?;
    session.reach(Verb::SessionHibernate, 2).await?;
    if let (Outcome::Passed, Some(url)) = (&wrote, &running.url)
        && exam.browser.open(url).await.is_ok()
    {
        return Err(format!("{url} still opens while the session is hibernated"));
    }
    let again = session.reach(Verb::SessionHibernate, 3).await?;
    same(&again.url, &None, "the url of what does not run")?;
    let awake = session.reach(Verb::SessionWake, 4).await?;
    let kept = match (&wrote, exam.lacks("keeps-files"), &awake.url) {
        (_, _, None) => Err("it was woken without a url".into()),
        (Outcome::Passed, None, Some(url)) => {
            same(&exam.browser.read(url).await?.as_str(), &text.as_str(), "what is in its home after waking")
                .map(|()| Outcome::Passed)
        }
        (_, Some(absent), _) => Ok(absent),
        (other, ..) => Ok(other.clone()),
    };
    session.delete(5).await?;
    kept
}

pub(super) async fn delete_leaves_nothing(exam: &Exam) -> Finding {
    for force in [false, true] {
        let session = Session { persistent_home: false, ..Session::new(exam) };
        session.reach(Verb::SessionCreate, 1).await?;
        if exam.witness.is_some() && exam.traces(session.id).await?.is_empty() {
            return Err("the witness sees nothing of a session that runs, so it is no witness of its end".into());
        }
        let sent = if force { session.send_forced(2).await? } else { session.send(Verb::SessionDelete, 2).await? };
        session.done(sent.clone()).await?;
        exam.leaves_nothing(session.id).await?;
        session.done(exam.engine.again(&sent, 2).await?).await?;
    }
    Ok(exam.witnessed())
}

pub(super) async fn hostile_names(exam: &Exam) -> Finding {
    try_join_all(HOSTILE_USERS.iter().map(|user| async move {
        let session = Session { user: (*user).to_owned(), ..Session::new(exam) };
        let lived = async {
            let running = session.reach(Verb::SessionCreate, 1).await?;
            let url = running.url.ok_or("a running session has no url")?;
            let plain = url.chars().all(|c| c.is_ascii_graphic());
            same(&plain, &true, &format!("whether {url:?} is made of characters that a URL may have"))?;
            exam.browser.open(&url).await?;
            session.reach(Verb::SessionHibernate, 2).await?;
            session.delete(3).await
        };
        lived.await.map_err(|why| format!("user {user:?}: {why}"))
    }))
    .await?;
    Ok(Outcome::Passed)
}
