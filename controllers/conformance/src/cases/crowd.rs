//! Many sessions at once, and the inventory that lists them.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::try_join_all;
use streams::subject::Verb;
use streams::wire::{SessionState, World};
use tokio::time::Instant;
use uuid::Uuid;

use super::same;
use crate::Promise;
use crate::account::{Finding, Outcome};
use crate::book::Heard;
use crate::exam::{Exam, START};
use crate::session::Session;

/// Sessions in one page.
const PAGE: usize = 200;

pub(crate) async fn check(exam: &Exam) -> Result<(), String> {
    let began = Instant::now();
    let sessions = (0..exam.options.sessions).map(|_| Session::new(exam)).collect::<Vec<_>>();
    exam.found(Promise::ManyAtOnce, many(exam, &sessions).await, began);
    let asleep = sessions.first().ok_or("there are no sessions")?;
    asleep.reach(Verb::SessionHibernate, 2).await?;
    let began = Instant::now();
    let answered = match exam.only_durable("inventory") {
        Some(absent) => Ok(absent),
        None => inventory(exam, &sessions, asleep.id, began).await,
    };
    exam.found(Promise::Resync, answered.clone(), began);
    if answered != Ok(Outcome::Passed) {
        exam.found(Promise::Inventory, answered, began);
    }
    try_join_all(sessions.iter().map(|session| session.delete(9))).await?;
    Ok(())
}

async fn many(exam: &Exam, sessions: &[Session<'_>]) -> Finding {
    let running = try_join_all(sessions.iter().map(|session| session.reach(Verb::SessionCreate, 1))).await?;
    let urls = running.iter().filter_map(|status| status.url.clone()).collect::<BTreeSet<_>>();
    same(&urls.len(), &sessions.len(), "the number of different urls")?;
    for url in &urls {
        exam.browser.open(url).await?;
    }
    Ok(Outcome::Passed)
}

async fn inventory(exam: &Exam, sessions: &[Session<'_>], asleep: Uuid, began: Instant) -> Finding {
    let since = exam.engine.book.mark();
    let sync_id = exam.engine.ask_for_inventory().await?;
    let last =
        |heard: &Heard| matches!(heard, Heard::Inventory(page) if page.sync_id == sync_id && page.last).then_some(());
    let told = exam.engine.book.wait(since, START, last).await;
    told.ok_or_else(|| {
        format!("asked for its inventory, it published no last page with that sync_id within {START:?}")
    })?;
    let mut pages = Vec::new();
    exam.engine.book.each(since, |_, entry| match &entry.heard {
        Heard::Inventory(page) if page.sync_id == sync_id => pages.push(page.clone()),
        _ => {}
    });
    in_pages(&pages)?;
    exam.found(Promise::Inventory, complete(exam, &pages, sessions, asleep), began);
    Ok(Outcome::Passed)
}

fn in_pages(pages: &[World]) -> Result<(), String> {
    for (number, page) in pages.iter().enumerate() {
        same(&(page.part as usize), &number, "the number of a page")?;
        same(&page.last, &(number + 1 == pages.len()), &format!("`last` of page {number}"))?;
        same(&(page.sessions.len() <= PAGE), &true, &format!("whether page {number} has at most {PAGE} sessions"))?;
        let Some(span) = page.span else { continue };
        let outside = page.sessions.iter().map(|one| one.session_id);
        let outside = outside.filter(|id| *id < span.from || span.until.is_some_and(|until| *id >= until)).count();
        same(&outside, &0, &format!("the number of sessions outside of the span of page {number}"))?;
        let next = pages.get(number + 1).and_then(|next| next.span).map(|next| next.from);
        same(&span.until, &next, &format!("the end of the span of page {number}"))?;
    }
    Ok(())
}

fn complete(exam: &Exam, pages: &[World], sessions: &[Session<'_>], asleep: Uuid) -> Finding {
    let mut listed = BTreeMap::new();
    for one in pages.iter().flat_map(|page| &page.sessions) {
        let twice = listed.insert(one.session_id, (one.status, one.generation));
        same(&twice, &None, &format!("another entry of session {}", one.session_id))?;
    }
    for session in sessions {
        let (state, generation) =
            if session.id == asleep { (SessionState::Hibernated, 2) } else { (SessionState::Running, 1) };
        let what = format!("state and generation of session {} in the inventory", session.id);
        same(&listed.remove(&session.id), &Some((state, Some(generation))), &what)?;
    }
    // what another check left behind is no fault of the inventory
    listed.retain(|id, _| exam.last_state(*id) == Some(SessionState::Deleted));
    same(&listed.len(), &0, "the number of sessions in it that were deleted")?;
    Ok(Outcome::Passed)
}
