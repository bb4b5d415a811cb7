//! Where an event is now, and how it came there: every hop with its time, and one word for where it stands.
//!
//! This file gathers what is known, from the tables and from JetStream; `verdict` says what that means and `hops` tells it in
//! order, both without asking anybody.

mod hops;
#[cfg(test)]
mod table;
mod verdict;

use std::time::Duration;

use sea_orm::sea_query::{Condition, Expr};
use sea_orm::{ColumnTrait, ConnectionTrait, DatabaseConnection, DbErr, EntityTrait, QueryFilter, QuerySelect};
use streams::connect::Link;
use streams::subject::{consumer_name, parse_command};
use streams::topology::{Whereabouts, whereabouts};
use uuid::Uuid;

use crate::attempts::{Tried, attempts, letter};
use crate::open::{self, Open};
use crate::store::event::{self, Column as C};
use crate::store::snapshot::snapshot;
use crate::{events, store::dead_letter};

pub use hops::Hop;
pub use verdict::Verdict;

/// Rows that are read of what a command caused.
const CAUSED: u64 = 500;
/// Commands before this one in the outbox beyond which they are not counted.
pub const AHEAD: u64 = 1_000;
/// How long JetStream is waited for.
const PATIENCE: Duration = Duration::from_secs(3);

/// What became of an event.
#[derive(Debug, Clone, PartialEq)]
pub struct Fate {
    /// Its row of the log.
    pub event: event::Model,
    /// Where it stands, in one word.
    pub verdict: Verdict,
    /// The same, for people.
    pub sentence: String,
    /// Every step that is known, in order.
    pub hops: Vec<Hop>,
    /// Where JetStream has it; of commands in the durable lane that were published.
    pub delivery: Option<Delivery>,
    /// How many commands of its controller go before it, [`AHEAD`] at most; while it is in the outbox.
    pub ahead: Option<u64>,
    /// When it is tried again.
    pub next_attempt_ms: Option<i64>,
    /// When its silence counts as a failed attempt.
    pub deadline_ms: Option<i64>,
    /// The command that took its place, where it was overtaken.
    pub superseded_by: Option<Uuid>,
    /// What it became when it was given up.
    pub dead_letter: Option<dead_letter::Model>,
}

/// What JetStream says of a published command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// It answered.
    Known(Whereabouts),
    /// It did not answer.
    Unknown,
}

impl Delivery {
    /// In one word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Known(Whereabouts::Queued) => "queued",
            Self::Known(Whereabouts::HandedOut) => "handed_out",
            Self::Known(Whereabouts::Acknowledged) => "acknowledged",
            Self::Known(Whereabouts::Unserved) => "unserved",
            Self::Known(Whereabouts::Lost) => "lost",
            Self::Unknown => "unknown",
        }
    }
}

/// Everything that is known of an event.
#[derive(Debug, Clone)]
struct Facts {
    event: event::Model,
    /// What names it as its cause.
    caused: Vec<event::Model>,
    attempts: Vec<Tried>,
    /// Where it is the open command of something.
    open: Option<Open>,
    letter: Option<dead_letter::Model>,
    successor: Option<event::Model>,
    delivery: Option<Delivery>,
    ahead: Option<u64>,
    /// NATS can be reached.
    connected: bool,
}

/// Where an event is; `None` where there is none.
pub(crate) async fn of(db: &DatabaseConnection, link: &Link, event_id: Uuid) -> Result<Option<Fate>, DbErr> {
    let tx = snapshot(db).await?; // its history and where it stands are read one after the other, and must agree
    let known = match events::get(&tx, event_id).await? {
        Some(event) => Some(gather(&tx, event).await?),
        None => None,
    };
    tx.commit().await?;
    let Some(mut facts) = known else { return Ok(None) };
    facts.connected = link.state.borrow().connected;
    facts.delivery = delivery(link, facts.connected, &facts.event).await;
    Ok(Some(compose(facts)))
}

fn compose(facts: Facts) -> Fate {
    let (verdict, sentence) = verdict::verdict(&facts);
    let hops = hops::hops(&facts, verdict);
    let open = facts.open.unwrap_or_default();
    Fate {
        verdict,
        sentence,
        hops,
        delivery: facts.delivery,
        ahead: facts.ahead,
        next_attempt_ms: open.next_attempt_ms,
        deadline_ms: open.deadline_ms,
        superseded_by: facts.successor.filter(|_| verdict == Verdict::Superseded).map(|row| row.event_id),
        dead_letter: facts.letter,
        event: facts.event,
    }
}

/// What the tables know.
async fn gather(db: &impl ConnectionTrait, event: event::Model) -> Result<Facts, DbErr> {
    let mut facts = Facts {
        event,
        caused: Vec::new(),
        attempts: Vec::new(),
        open: None,
        letter: None,
        successor: None,
        delivery: None,
        ahead: None,
        connected: false,
    };
    let command = &facts.event;
    if command.kind != event::Kind::Command.as_str() {
        return Ok(facts);
    }
    facts.caused = events::caused(db, command, CAUSED).await?;
    let reports: Vec<_> = facts.caused.iter().filter(|row| row.kind == "report").cloned().collect();
    facts.attempts = attempts(db, command, &reports).await?;
    facts.open = open::of(db, command).await?;
    facts.letter = letter(db, command.event_id).await?;
    facts.successor = events::next_command(db, command).await?;
    facts.ahead = ahead(db, command).await?;
    Ok(facts)
}

/// What JetStream says of a command that it was given.
async fn delivery(link: &Link, connected: bool, command: &event::Model) -> Option<Delivery> {
    if command.kind != event::Kind::Command.as_str() {
        return None;
    }
    let (epoch, sequence) = (command.stream_epoch?, u64::try_from(command.stream_seq?).ok()?);
    let (_, platform, controller) = parse_command(&command.subject)?;
    if !connected {
        return Some(Delivery::Unknown);
    }
    let consumer = consumer_name(&platform, &controller);
    let asked = whereabouts(&link.jetstream, &consumer, epoch, sequence);
    match tokio::time::timeout(PATIENCE, asked).await {
        Ok(Ok(known)) => Some(Delivery::Known(known)),
        Ok(Err(_)) | Err(_) => Some(Delivery::Unknown), // it is told as such
    }
}

/// How many commands of its controller go before it.
async fn ahead(db: &impl ConnectionTrait, command: &event::Model) -> Result<Option<u64>, DbErr> {
    let Some(controller) = command.controller_id.as_ref().filter(|_| in_outbox(command)) else { return Ok(None) };
    let same_turn = Condition::all().add(C::Turn.eq(command.turn)).add(C::Id.lt(command.id));
    let before = event::Entity::find()
        .select_only()
        .column(C::Id)
        .filter(C::ControllerId.eq(controller))
        .filter(Expr::cust("status = 'pending' AND ready")) // literally as in the partial index
        .filter(Condition::any().add(C::Turn.lt(command.turn)).add(same_turn))
        .limit(AHEAD);
    let before = before.into_tuple::<i64>().all(db).await?;
    Ok(Some(before.len() as u64))
}

/// Whether it is to be published, and was not yet.
fn in_outbox(command: &event::Model) -> bool {
    command.ready && command.status.as_deref() == Some("pending")
}
