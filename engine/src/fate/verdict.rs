//! What the known facts of an event mean: one stable word, and a sentence for people.

use chrono::{DateTime, SecondsFormat};
use streams::subject::action;
use streams::topology::Whereabouts;

use super::{AHEAD, Delivery, Facts, in_outbox};
use crate::open::Open;

/// Where an event stands. The words are part of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// A command that is accepted, and has not left yet.
    Waiting,
    /// A command on its way to its controller.
    InFlight,
    /// A command that its controller has begun.
    Working,
    /// A command whose last attempt failed, and that will be tried again.
    Retrying,
    /// A command that was carried out.
    Completed,
    /// A command or a report that something newer overtook.
    Superseded,
    /// A command that was given up and became a dead letter.
    DeadLettered,
    /// A command that ended badly, and has no dead letter: it was closed, and has gone since.
    Failed,
    /// An open command that nothing owns up to: a defect.
    Unaccounted,
    /// A report that was taken over.
    Applied,
    /// A decision of the engine's own, which is done with its being written.
    Decided,
}

impl Verdict {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Waiting,
        Self::InFlight,
        Self::Working,
        Self::Retrying,
        Self::Completed,
        Self::Superseded,
        Self::DeadLettered,
        Self::Failed,
        Self::Unaccounted,
        Self::Applied,
        Self::Decided,
    ];

    /// Its word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::InFlight => "in_flight",
            Self::Working => "working",
            Self::Retrying => "retrying",
            Self::Completed => "completed",
            Self::Superseded => "superseded",
            Self::DeadLettered => "dead_lettered",
            Self::Failed => "failed",
            Self::Unaccounted => "unaccounted",
            Self::Applied => "applied",
            Self::Decided => "decided",
        }
    }
}

/// Where it stands.
pub(super) fn verdict(facts: &Facts) -> (Verdict, String) {
    let event = &facts.event;
    match (event.kind.as_str(), event.status.as_deref()) {
        ("report", _) if event.is_superseded() => {
            (Verdict::Superseded, "it came after something newer was known, and changed nothing".into())
        }
        ("report", _) => (Verdict::Applied, applied(&changed(event))),
        ("decision", _) => (Verdict::Decided, "the engine decided it; nothing more is to come of it".into()),
        (_, Some("completed")) if event.is_superseded() => (Verdict::Superseded, overtaken(facts)),
        (_, Some("completed")) => (Verdict::Completed, completed(facts)),
        (_, Some("failed")) => ended_badly(facts),
        _ => match &facts.open {
            Some(open) => under_way(facts, open),
            None => (
                Verdict::Unaccounted,
                format!("it is open, and {} does not own up to it: this is a defect, please report it", event.entity),
            ),
        },
    }
}

/// The names of the columns that a row of the log changed, in order.
pub(super) fn changed(row: &crate::store::event::Model) -> Vec<&str> {
    let changes = row.changes.as_ref().and_then(|changes| changes.as_object());
    let mut names: Vec<&str> = changes.into_iter().flatten().map(|(name, _)| name.as_str()).collect();
    names.retain(|name| !name.starts_with("seen_")); // the fence moves with every report
    names.sort_unstable();
    names
}

fn applied(changed: &[&str]) -> String {
    if changed.is_empty() { "it was taken over".into() } else { format!("it changed {}", changed.join(", ")) }
}

fn overtaken(facts: &Facts) -> String {
    match &facts.successor {
        Some(newer) => format!("{} ({}) took its place before it was done", newer.event_id, action(&newer.subject)),
        None => "something newer was asked for before it was done".into(),
    }
}

fn completed(facts: &Facts) -> String {
    let by = facts.event.processed_by.as_deref().unwrap_or("its controller");
    match facts.event.attempt {
        0 | 1 => format!("{by} carried it out"),
        attempt => format!("{by} carried it out, in attempt {attempt}"),
    }
}

fn ended_badly(facts: &Facts) -> (Verdict, String) {
    let why = facts.event.error_message.as_deref().unwrap_or("no error was given");
    let Some(letter) = &facts.letter else {
        return (Verdict::Failed, format!("it failed: {why}; no dead letter of it is kept"));
    };
    let next = match letter.status.as_str() {
        "open" => format!("dead letter {} waits for somebody to replay or discard it", letter.id),
        status => format!("dead letter {} is {status}: {}", letter.id, letter.note.as_deref().unwrap_or("no note")),
    };
    (Verdict::DeadLettered, format!("it was given up ({}: {why}); {next}", letter.reason))
}

/// Of the open command. What its row says comes first: it is what the timers go by.
fn under_way(facts: &Facts, open: &Open) -> (Verdict, String) {
    let event = &facts.event;
    let to = event.controller_id.as_deref().unwrap_or("its controller");
    if let Some(at) = open.next_attempt_ms {
        let why = open.reason.clone().unwrap_or_else(|| format!("attempt {} failed", event.attempt));
        return (Verdict::Retrying, format!("{why}; next attempt at {}", time(at)));
    }
    if open.deadline_ms.is_none() {
        let why = open.reason.as_deref().unwrap_or("nobody can be given it now");
        return (Verdict::Waiting, format!("it waits: {why}"));
    }
    match event.status.as_deref() {
        Some("pending") => (Verdict::Waiting, outbox(facts, to)),
        Some("processing") => (Verdict::Working, format!("{to} has begun it{}", patience(open))),
        _ => (Verdict::InFlight, travels(facts.delivery, to, open)),
    }
}

fn outbox(facts: &Facts, to: &str) -> String {
    match facts.ahead {
        _ if !facts.connected => "it is safe in the outbox until NATS can be reached again".into(),
        Some(0) | None if in_outbox(&facts.event) => format!("it is the next in the outbox for {to}"),
        Some(AHEAD) => format!("it is in the outbox for {to}, behind at least {AHEAD} others"),
        Some(ahead) => format!("it is in the outbox for {to}, behind {ahead} others"),
        None => "it is in the outbox".into(),
    }
}

fn travels(delivery: Option<Delivery>, to: &str, open: &Open) -> String {
    let patience = patience(open);
    match delivery {
        Some(Delivery::Known(Whereabouts::Queued)) => format!("JetStream has it; {to} has not fetched it yet"),
        Some(Delivery::Known(Whereabouts::HandedOut)) => {
            format!("{to} was given it, and has neither acknowledged nor reported{patience}")
        }
        Some(Delivery::Known(Whereabouts::Acknowledged)) => {
            format!("{to} acknowledged it, and its report is not here yet{patience}")
        }
        Some(Delivery::Known(Whereabouts::Unserved)) => {
            format!("JetStream has it, and there is no consumer for {to}; it comes back with {to}'s next heartbeat")
        }
        Some(Delivery::Known(Whereabouts::Lost)) => "JetStream lost it with its stream; it is sent again".into(),
        Some(Delivery::Unknown) => format!("it was published for {to}; JetStream does not answer now"),
        None => format!("it was sent to {to}, who has not reported{patience}"),
    }
}

fn patience(open: &Open) -> String {
    open.deadline_ms.map(|at| format!("; looked after at {}", time(at))).unwrap_or_default()
}

pub(super) fn time(ms: i64) -> String {
    DateTime::from_timestamp_millis(ms).unwrap_or_default().to_rfc3339_opts(SecondsFormat::Secs, true)
}
