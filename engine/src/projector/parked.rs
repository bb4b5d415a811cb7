//! What happens to the command that a parked report was about: its attempt counts as failed, so that nobody waits for an answer that
//! nobody can read. What can be read of the report says which; where that is nothing, the command's deadline deals with it.

use machine::Lane;
use machine::session::FailedAttempt;
use serde_json::Value;
use streams::subject::{Report, Sender};
use streams::wire::{Failure, Scope};
use streams::worker::Delivery;
use uuid::Uuid;

use crate::writer::{Commanded, LostAttempt};

/// Characters of the reason that are kept with the attempt.
const LONGEST_WHY: usize = 500;

/// The attempt that a report was about, which is parked because of `why`.
pub(super) fn attempt(delivery: &Delivery, report: Report, sender: &Sender, why: &str) -> Option<LostAttempt> {
    let payload: Value = streams::limits::json::stored(&delivery.payload).ok()?;
    let id = |name: &str| payload.get(name)?.as_str()?.parse::<Uuid>().ok();
    let of = match report {
        Report::SessionStatus => Commanded::Session(id("session_id")?),
        Report::AppStatus => Commanded::Application(id("install_id")?),
        Report::NodeStatus | Report::TemplateCreate | Report::ControllerWorld => return None,
    };
    let by = match sender {
        Sender::Durable(_, controller) => (controller.to_string(), Lane::Durable),
        Sender::Core => (String::new(), Lane::Core),
    };
    let attempt = payload.get("attempt").and_then(Value::as_i64).and_then(|attempt| i32::try_from(attempt).ok());
    let why: String = why.chars().take(LONGEST_WHY).collect();
    let error = Failure {
        code: "report_parked".into(),
        message: format!("the controller's report could not be taken, and was parked: {why}"),
        retryable: true,
        user_error: false,
        scope: Some(Scope::Session),
    };
    let failed = FailedAttempt { command: id("causation_id"), attempt, error };
    Some(LostAttempt { of, failed, by: Some(by) })
}
