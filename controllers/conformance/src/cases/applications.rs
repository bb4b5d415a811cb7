//! What a controller may announce besides sessions: applications, templates, nodes.

use serde_json::{Value, json};
use streams::subject::Verb;
use streams::wire::{AppState, AppStatus, NodeState};
use uuid::Uuid;

use super::same;
use crate::Lane;
use crate::account::{Finding, Outcome};
use crate::book::{Ack, Heard};
use crate::engine::Sent;
use crate::exam::Exam;
use crate::session::{PATIENCE, Session};

fn app(exam: &Exam, install_id: Uuid, manifest: &str) -> Value {
    let name = &exam.options.templates.good.metadata.name;
    json!({ "install_id": install_id, "catalog_template_id": 1, "template_name": name, "display_name": name,
        "manifest": manifest, "installed_by": "conformance" })
}

/// The report that concludes a command for an application.
async fn conclusion(exam: &Exam, sent: &Sent, install_id: Uuid) -> Result<AppStatus, String> {
    let last = [AppState::Ready, AppState::Uninstalled, AppState::Failed];
    let want = |heard: &Heard| match heard {
        Heard::App(status) if status.install_id == install_id && last.contains(&status.status) => {
            status.causation_id.is_none_or(|cause| cause == sent.event_id).then(|| status.clone())
        }
        _ => None,
    };
    let found = exam.engine.book.wait(sent.since, PATIENCE, want).await;
    found.ok_or_else(|| format!("no report concluded {} within {PATIENCE:?}", sent.verb.name()))
}

pub(super) async fn install_twice(exam: &Exam) -> Finding {
    if let Some(absent) = exam.lacks("applications") {
        return Ok(absent);
    }
    let id = Uuid::new_v4();
    let manifest = json!(exam.options.templates.good).to_string(); // JSON is YAML
    let sent = exam.engine.command(Verb::AppInstall, 1, app(exam, id, &manifest)).await?;
    same(&conclusion(exam, &sent, id).await?.status, &AppState::Ready, "the state after an install")?;
    let again = exam.engine.again(&sent, 2).await?;
    same(&conclusion(exam, &again, id).await?.status, &AppState::Ready, "the state after the second install")?;
    let session = Session::new(exam);
    session.reach(Verb::SessionCreate, 1).await?;
    let sent = exam.engine.command(Verb::AppUninstall, 2, app(exam, id, "")).await?;
    same(&conclusion(exam, &sent, id).await?.status, &AppState::Uninstalled, "the state after an uninstall")?;
    let again = exam.engine.again(&sent, 2).await?;
    same(&conclusion(exam, &again, id).await?.status, &AppState::Uninstalled, "the state after the second uninstall")?;
    session.reach(Verb::SessionWake, 2).await.map_err(|why| format!("a session of it after its uninstall: {why}"))?;
    session.delete(3).await?;
    Ok(Outcome::Passed)
}

pub(super) async fn bad_manifest(exam: &Exam) -> Finding {
    if let Some(absent) = exam.lacks("applications") {
        return Ok(absent);
    }
    let id = Uuid::new_v4();
    let sent = exam.engine.command(Verb::AppInstall, 1, app(exam, id, "kind: Template\nspec: [\n")).await?;
    let status = conclusion(exam, &sent, id).await?;
    same(&status.status, &AppState::Failed, "the state after the install of an invalid manifest")?;
    let error = status.error.ok_or("it was reported without an error")?;
    same(&(error.retryable, error.user_error), &(false, true), "retryable and user_error of the failure")?;
    same(&error.message.contains("line"), &true, &format!("whether {:?} names the line", error.message))?;
    Ok(Outcome::Passed)
}

pub(super) async fn template_delete(exam: &Exam) -> Finding {
    if let Some(absent) = exam.lacks("templates") {
        return Ok(absent);
    }
    let session = Session::new(exam);
    session.reach(Verb::SessionCreate, 1).await?;
    for name in ["conformance-unknown", &exam.options.templates.good.metadata.name] {
        let sent = exam.engine.command(Verb::TemplateDelete, 1, json!({ "template_name": name })).await?;
        let done = |heard: &Heard| matches!(heard, Heard::Ack(one, Ack::Done) if *one == sent.sequence).then_some(());
        if exam.engine.lane == Lane::Durable {
            exam.engine.book.wait(sent.since, PATIENCE, done).await.ok_or("template.delete was not acknowledged")?;
        }
    }
    session.reach(Verb::SessionWake, 2).await?;
    session.delete(3).await?;
    Ok(Outcome::Passed)
}

pub(super) async fn nodes(exam: &Exam) -> Finding {
    if let Some(absent) = exam.lacks("nodes") {
        return Ok(absent);
    }
    let any = |heard: &Heard| match heard {
        Heard::Node(status) => Some(status.node_name.clone()),
        _ => None,
    };
    let name = exam.engine.book.wait(0, PATIENCE, any).await.ok_or("it announces nodes, and reported none")?;
    let session = Session::new(exam);
    session.reach(Verb::SessionCreate, 1).await?;
    for (verb, state) in [
        (Verb::NodeCordon, NodeState::Cordoned),
        (Verb::NodeDrain, NodeState::Drained),
        (Verb::NodeUncordon, NodeState::Ready),
    ] {
        let command = json!({ "node_name": name, "grace_period_seconds": 1 });
        let sent = exam.engine.command(verb, 1, command).await?;
        let reported = |heard: &Heard| {
            matches!(heard, Heard::Node(status) if status.node_name == name && status.status == state).then_some(())
        };
        let reported = exam.engine.book.wait(sent.since, PATIENCE, reported).await;
        reported.ok_or_else(|| format!("after {} the node was not reported as {state:?}", verb.name()))?;
    }
    session.reach(Verb::SessionWake, 2).await.map_err(|why| format!("a session after the drain: {why}"))?;
    session.delete(3).await?;
    Ok(Outcome::Passed)
}
