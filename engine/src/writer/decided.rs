//! How a decision of a machine becomes rows: the log of what it is about, its commands' changes, and dead letters. Sessions and
//! applications have this alike.

use machine::command::{CommandState, Effect, Source};
use machine::{Context, Lane};
use serde_json::{Value, json};
use streams::ids::{ControllerId, Platform};
use streams::subject::{self, Verb};
use uuid::Uuid;

use super::batch::Batch;
use super::commands::Commands;
use super::outcome::Outcome;
use super::turns::Turns;
use super::{Error, NewDeadLetter};
use crate::store::event;
use crate::store::text::Body;

/// What a decision is about, as it is after it.
pub(super) struct About<'a> {
    pub(super) entity: String,
    /// Whose turn its commands take.
    pub(super) user: &'a str,
    pub(super) platform: &'a str,
    pub(super) status: &'a str,
    pub(super) command: &'a CommandState,
    /// Of the open command, or of that which was open before.
    pub(super) verb: Verb,
    /// The contract's payload of a command: its id, its verb, and whether it is forced.
    pub(super) payload: &'a dyn Fn(Uuid, Verb, bool) -> Body,
}

/// Where the effects of a decision go.
pub(super) struct Rows<'a> {
    pub(super) now_ms: i64,
    pub(super) commands: &'a mut Commands,
    pub(super) outcome: &'a mut Outcome,
    pub(super) letters: &'a mut Vec<NewDeadLetter>,
    pub(super) turns: &'a mut Turns,
    /// Rows of the log; the report, where there is one, is the first.
    pub(super) rows: Vec<event::Row>,
}

impl Rows<'_> {
    pub(super) fn effect(&mut self, about: &About<'_>, effect: &Effect) {
        let by = || about.command.controller_id.clone();
        match effect {
            Effect::Send { event_id, verb, ready, force } => {
                let row = self.command_row(about, *event_id, *verb, *ready, *force);
                self.rows.push(row);
            }
            Effect::Redrive { event_id } => {
                let lane = about.command.lane.map(Lane::as_str);
                self.commands.again(*event_id, about.command_subject(about.verb), by(), lane, about.command.attempt);
            }
            Effect::Started { event_id } => self.commands.started(*event_id),
            Effect::Complete { event_id, superseded } => {
                let note =
                    superseded.then(|| format!("{} by generation {}", event::SUPERSEDED, about.command.generation));
                self.outcome.latencies.extend((!superseded).then(|| self.seconds_since(*event_id)).flatten());
                self.commands.ended(*event_id, false, by(), note);
            }
            Effect::Fail { event_id, cause, error, attempts } => {
                self.commands.ended(*event_id, true, by(), Some(error.clone()));
                self.letters.push(about.letter(*event_id, cause, error, json!(attempts)));
                self.decide(about, "dead_lettered");
            }
            Effect::Decide(what) => self.decide(about, what.as_str()),
            Effect::Retried => {} // see `judged`
            Effect::Warn(warning) => {
                self.decide(about, warning.name());
                if let Some(row) = self.rows.last_mut() {
                    let at = chrono::DateTime::from_timestamp_millis(warning.stops_at_ms).unwrap_or_default();
                    row.payload.change(|told| {
                        told["stops_at"] = json!(at);
                        told["prevent"] = warning.way_out().into();
                    });
                }
            }
            Effect::Superseded => {
                if let Some(report) = self.rows.first_mut() {
                    report.error_message = Some(format!("{}: not newer than what was applied", event::SUPERSEDED));
                }
            }
        }
    }

    /// A decision of the engine's own.
    pub(super) fn decide(&mut self, about: &About<'_>, what: &str) {
        let subject = format!("streamspace.decision.{what}");
        let entity = about.entity.clone();
        let mut row = event::Row::new(self.now_ms, event::Kind::Decision, Uuid::now_v7(), subject, entity);
        row.payload = json!({ "decision": what, "status": about.status, "reason": about.command.reason }).into();
        row.generation = about.command.generation;
        row.attempt = about.command.attempt;
        row.controller_id = about.command.controller_id.clone();
        row.causation_id = about.command.id;
        self.rows.push(row);
    }

    /// The rows in fold order after `entity_seq`; the last one has the changes.
    pub(super) fn sealed(
        mut self,
        about: &About<'_>,
        changes: Body,
        entity_seq: &mut i64,
        trace: Option<&str>,
    ) -> Vec<event::Row> {
        if self.rows.is_empty() {
            self.decide(about, "changed");
        }
        if let Some(last) = self.rows.last_mut() {
            last.changes = Some(changes);
        }
        for row in &mut self.rows {
            *entity_seq += 1;
            row.entity_seq = *entity_seq;
            row.traceparent = trace.map(str::to_owned);
        }
        self.rows
    }

    /// Seconds since a command was accepted: its id is a UUIDv7 and tells.
    fn seconds_since(&self, event_id: Uuid) -> Option<f64> {
        let (seconds, nanos) = event_id.get_timestamp()?.to_unix();
        Some((self.now_ms as f64 / 1e3 - seconds as f64 - f64::from(nanos) / 1e9).max(0.0))
    }

    fn command_row(&mut self, about: &About<'_>, event_id: Uuid, verb: Verb, ready: bool, force: bool) -> event::Row {
        let (subject, entity) = (about.command_subject(verb), about.entity.clone());
        let mut row = event::Row::new(self.now_ms, event::Kind::Command, event_id, subject, entity);
        row.payload = (about.payload)(event_id, verb, force);
        row.generation = about.command.generation;
        row.attempt = about.command.attempt;
        row.ready = ready;
        row.turn = self.turns.take(about.user, verb, self.now_ms);
        row.controller_id = about.command.controller_id.clone();
        row.lane = about.command.lane.map(Lane::as_str);
        row
    }
}

impl About<'_> {
    /// Where a command goes; the bare subject of the contract while nobody is chosen, which is never published.
    fn command_subject(&self, verb: Verb) -> String {
        let bare = format!("streamspace.{}", verb.name());
        let Ok(platform) = Platform::try_new(self.platform) else { return bare };
        let controller = self.command.controller_id.as_deref().and_then(|id| ControllerId::try_new(id).ok());
        match (self.command.lane, controller) {
            (Some(Lane::Durable), Some(controller)) => subject::command(verb, &platform, &controller),
            (Some(Lane::Core), _) => subject::core_command(verb, &platform),
            _ => bare,
        }
    }

    fn letter(&self, event_id: Uuid, cause: &str, error: &str, attempts: Value) -> NewDeadLetter {
        NewDeadLetter {
            source: format!("command:{event_id}"),
            event_id: Some(event_id),
            subject: self.command_subject(self.verb),
            reason: cause.to_owned(),
            error: error.to_owned(),
            payload: (self.payload)(event_id, self.verb, false).into_text().into_bytes(),
            headers: json!([]),
            attempts,
            entity: Some(self.entity.clone()),
            controller_id: self.command.controller_id.clone(),
            platform: Some(self.platform.to_owned()),
            count: 1,
            copied: false,
            verified: true,
        }
    }
}

impl Batch<'_> {
    /// What a decision may know about an owner.
    pub(super) fn context(&self, owner: Option<&str>, fresh_id: Uuid) -> Context {
        let jitter = f64::from(rand::random::<u32>()) / f64::from(u32::MAX);
        let retry_ms = owner.and_then(|id| self.controllers.get(id)).map(|slot| slot.row.budget().next(self.now_ms));
        let owner_lane = owner.and_then(|id| self.controllers.get(id)).and_then(|slot| slot.row.known_lane());
        let (owner_ready, retry_ms) = (self.owner_ready(owner), retry_ms.unwrap_or(self.now_ms));
        Context {
            now_ms: self.now_ms,
            fresh_id,
            jitter,
            owner_ready,
            retry_ms,
            room: None,
            readiness_ms: 0,
            owner_lane,
        }
    }

    /// Whether a report was applied before; the same id with other content is an error.
    pub(super) fn is_known(&self, event_id: Uuid, payload: &Value) -> Result<bool, Error> {
        match self.seen.get(&event_id) {
            Some(known) if known == payload => Ok(true),
            Some(_) => Err(Error::SameIdOtherContent(event_id)),
            None => Ok(false),
        }
    }
}

/// What the log has of any report.
pub(super) struct Told<'a> {
    pub(super) event_id: Uuid,
    pub(super) subject: &'a str,
    pub(super) payload: &'a Value,
    pub(super) generation: Option<i64>,
    pub(super) attempt: Option<i32>,
    pub(super) controller_id: &'a str,
    pub(super) causation_id: Option<Uuid>,
    pub(super) lane: Lane,
    pub(super) source: Source,
}

impl Told<'_> {
    pub(super) fn row(&self, now_ms: i64, entity: String) -> event::Row {
        let mut row = event::Row::new(now_ms, event::Kind::Report, self.event_id, self.subject.to_owned(), entity);
        row.payload = self.payload.clone().into();
        row.generation = self.generation.unwrap_or(0);
        row.attempt = self.attempt.unwrap_or(0);
        row.controller_id = Some(self.controller_id.to_owned());
        row.causation_id = self.causation_id;
        row.lane = Some(self.lane.as_str());
        row.stream_epoch = Some(self.source.epoch);
        row.stream_seq = Some(self.source.seq);
        row
    }
}
