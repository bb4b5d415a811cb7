//! What happens to a session: the machine decides, and this file turns its effects into rows.

use machine::placement::Place;
use machine::session::{Decision, Effect, Event, Observation, Session, create, decide};
use machine::{Context, Lane};
use sea_orm::{DatabaseTransaction, DbErr};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use streams::crash::{Moment, point};
use streams::ids::{ControllerId, Platform};
use streams::subject::{self, Verb};
use streams::wire::Resources;
use uuid::Uuid;

use super::batch::{Batch, Slot, State};
use super::session_row::{command_payload, first_notes, first_row, insert, update};
use super::work::{Ask, Done, NewSession, ReportIn};
use super::{Error, NewDeadLetter};
use crate::store::{event, session};

/// The fence's columns: they move with every report, which alone is not worth a row of the log.
const FENCE: [&str; 3] = ["seen_generation", "seen_epoch", "seen_seq"];

impl Batch<'_> {
    pub(super) fn context(&self, owner: Option<&str>, fresh_id: Uuid) -> Context {
        let jitter = f64::from(rand::random::<u32>()) / f64::from(u32::MAX);
        Context { now_ms: self.now_ms, fresh_id, jitter, owner_ready: self.owner_ready(owner) }
    }

    pub(super) fn create(&mut self, new: &NewSession, trace: Option<&str>) -> Result<Done, Error> {
        if let Some(slot) = self.sessions.get(&new.session_id) {
            return Ok(Done::Session(Box::new(slot.row.clone())));
        }
        let manifest = self.living_template(&new.template_id)?.manifest.clone();
        let place = self.choose(&new.platform);
        let owner = match &place {
            Place::Chosen { controller_id, .. } => Some(controller_id.clone()),
            Place::Wait(_) => None,
        };
        let context = self.context(owner.as_deref(), new.event_id);
        let decision = create(new.session_id, &place, new.idle_timeout_s, new.max_duration_s, &context);
        if let Some(owner) = &owner {
            self.load.give(owner);
        }
        let row = first_row(new, manifest, &decision.session, self.now_ms);
        self.sessions.insert(new.session_id, Slot { row, state: State::New });
        self.record(new.session_id, None, decision, Vec::new(), trace)?;
        self.note(first_notes(new));
        self.session(new.session_id)
    }

    pub(super) fn ask(&mut self, id: Uuid, ask: Ask, trace: Option<&str>) -> Result<Done, Error> {
        let event = self.asked(id, ask)?;
        self.happened(id, &event, trace)
    }

    /// The same as one of many; says whether there is anything to do, and with `dry_run` only that.
    pub(super) fn ask_item(&mut self, id: Uuid, ask: Ask, dry_run: bool, trace: Option<&str>) -> Result<bool, Error> {
        let event = self.asked(id, ask)?;
        let (before, decision) = self.decided(id, &event)?;
        if decision.effects.is_empty() {
            return Ok(false); // what is asked holds, or is under way
        }
        if !dry_run {
            self.record(id, Some(&before), decision, Vec::new(), trace)?;
        }
        Ok(true)
    }

    fn asked(&self, id: Uuid, ask: Ask) -> Result<Event, Error> {
        let slot = self.slot(id)?;
        Ok(match ask {
            Ask::Hibernate => Event::Hibernate,
            Ask::Delete { force } => Event::Delete { force },
            Ask::Activity => Event::Activity,
            Ask::Extend { by_s } => Event::Extend { by_s },
            Ask::Again => Event::Again,
            Ask::Wake if slot.row.controller_id.is_none() => Event::Wake(self.choose(&slot.row.platform)),
            Ask::Wake => Event::Wake(Place::Wait(String::new())),
        })
    }

    fn decided(&self, id: Uuid, event: &Event) -> Result<(Session, Decision), Error> {
        let before = self.facts(id)?;
        let context = self.context(before.controller_id.as_deref(), Uuid::now_v7());
        let decision = decide(&before, event, &context)?;
        Ok((before, decision))
    }

    pub(super) fn place_again(&mut self, id: Uuid, trace: Option<&str>) -> Result<Done, Error> {
        let place = self.choose(&self.slot(id)?.row.platform);
        point("placement.decide", Moment::During);
        if let Place::Chosen { controller_id, .. } = &place {
            self.load.give(controller_id);
        }
        self.happened(id, &Event::Placed(place), trace)
    }

    pub(super) fn happened(&mut self, id: Uuid, event: &Event, trace: Option<&str>) -> Result<Done, Error> {
        let (before, decision) = self.decided(id, event)?;
        self.record(id, Some(&before), decision, Vec::new(), trace)?;
        self.session(id)
    }

    pub(super) fn report(&mut self, report: &ReportIn, trace: Option<&str>) -> Result<Done, Error> {
        if let Some(known) = self.seen.get(&report.event_id) {
            let same = *known == report.payload;
            return if same { Ok(Done::Duplicate) } else { Err(Error::SameIdOtherContent(report.event_id)) };
        }
        let before = self.facts(report.session_id)?;
        let context = self.context(before.controller_id.as_deref(), Uuid::now_v7());
        let observation = Observation { in_use: self.in_use(report), ..report.observation.clone() };
        let decision = decide(&before, &Event::Report(Box::new(observation)), &context)?;
        self.judge_owner(&before, report, &decision);
        *self.outcome.processed.entry(report.observation.controller_id.clone()).or_default() += 1;
        if let (Some(usage), Some(slot)) = (&report.resource_usage, self.sessions.get_mut(&report.session_id)) {
            slot.row.resource_usage = Some(usage.clone());
            slot.touch();
        }
        let row = self.report_row(report);
        self.seen.insert(report.event_id, report.payload.clone());
        self.record(report.session_id, Some(&before), decision, vec![row], trace)?;
        Ok(Done::Written)
    }

    /// Whether the usage in a report counts as use, by what the session may use and by its template.
    fn in_use(&self, report: &ReportIn) -> bool {
        let usage = report.resource_usage.as_ref().and_then(|usage| Resources::deserialize(usage).ok());
        let (Some(usage), Some(slot)) = (usage, self.sessions.get(&report.session_id)) else { return false };
        let may_use = Resources::deserialize(&slot.row.resources).unwrap_or_default();
        let percent =
            slot.row.template["spec"]["useCpuPercent"].as_u64().and_then(|percent| u8::try_from(percent).ok());
        streams::usage::is_use(&usage, &may_use, percent)
    }

    /// What a report says about its controller: failures that no user caused open the breaker, successes close it.
    fn judge_owner(&mut self, before: &Session, report: &ReportIn, decision: &Decision) {
        let Some(owner) = before.controller_id.clone() else { return };
        let ended_well =
            decision.effects.iter().any(|effect| matches!(effect, Effect::Complete { superseded: false, .. }));
        let event = match &report.observation.error {
            Some(error) if !error.user_error && report.observation.causation_id.is_some() => {
                machine::controller::Event::Failure
            }
            None if ended_well => machine::controller::Event::Success,
            _ => return,
        };
        let _ = self.controller_event(&owner, event); // an owner without a row has no breaker
    }

    fn report_row(&self, report: &ReportIn) -> event::Model {
        let entity = session::Model::entity(report.session_id);
        let mut row = self.log_row(event::Kind::Report, report.event_id, report.subject.clone(), entity);
        let seen = &report.observation;
        row.payload = report.payload.clone();
        row.generation = seen.generation.unwrap_or(0);
        row.attempt = seen.attempt.unwrap_or(0);
        row.controller_id = Some(seen.controller_id.clone());
        row.causation_id = seen.causation_id;
        row.lane = Some(seen.lane.as_str().into());
        row.stream_epoch = Some(seen.source.epoch);
        row.stream_seq = Some(seen.source.seq);
        row
    }

    /// Turns a decision into the row, its log and the commands' changes. `rows` begins with the report, where there is one.
    pub(super) fn record(
        &mut self,
        id: Uuid,
        before: Option<&Session>,
        decision: Decision,
        mut rows: Vec<event::Model>,
        trace: Option<&str>,
    ) -> Result<(), Error> {
        let Decision { session: after, effects } = decision;
        let changes = before.map_or_else(|| after.hard(), |before| difference(before, &after));
        let quiet = rows.iter().all(|row| row.causation_id.is_none()) && effects.is_empty();
        if before.is_some() && quiet && changes.keys().all(|name| FENCE.contains(&name.as_str())) {
            return self.keep_fence(id, before, after); // nothing but soft columns moved: no row of the log
        }
        for effect in &effects {
            self.effect(id, &after, effect, &mut rows);
        }
        if rows.is_empty() {
            rows.push(self.decision_row(id, "changed", &after));
        }
        let slot = self.sessions.get_mut(&id).ok_or_else(|| missing(id))?;
        if let Some(last) = rows.last_mut() {
            last.changes = Some(Value::Object(changes));
        }
        for row in &mut rows {
            slot.row.entity_seq += 1;
            row.entity_seq = slot.row.entity_seq;
            row.traceparent = trace.map(str::to_owned);
        }
        slot.row.assume(after, self.now_ms);
        slot.touch();
        self.outcome.timers |= slot.row.wake_ms.is_some();
        self.log.extend(rows);
        Ok(())
    }

    /// Soft columns are stored without a trace in the log; the fence then stays where the log has it.
    fn keep_fence(&mut self, id: Uuid, before: Option<&Session>, mut after: Session) -> Result<(), Error> {
        let slot = self.sessions.get_mut(&id).ok_or_else(|| missing(id))?;
        if let Some(before) = before {
            if *before == after {
                return Ok(());
            }
            (after.seen_generation, after.seen_epoch, after.seen_seq) =
                (before.seen_generation, before.seen_epoch, before.seen_seq);
        }
        let updated_ms = slot.row.updated_ms;
        slot.row.assume(after, updated_ms);
        slot.touch();
        self.outcome.timers |= slot.row.wake_ms.is_some();
        Ok(())
    }

    fn effect(&mut self, id: Uuid, after: &Session, effect: &Effect, rows: &mut Vec<event::Model>) {
        let by = || after.controller_id.clone();
        match effect {
            Effect::Send { event_id, verb, ready, force } => {
                rows.push(self.command_row(id, after, *event_id, *verb, *ready, *force));
            }
            Effect::Redrive { event_id } => {
                let verb = after.command_verb.as_deref().and_then(Verb::from_name).unwrap_or(Verb::SessionWake);
                let (subject, lane) = (self.command_subject(id, after, verb), after.lane.map(Lane::as_str));
                self.commands.again(*event_id, subject, by(), lane, after.attempt);
            }
            Effect::Started { event_id } => self.commands.started(*event_id),
            Effect::Complete { event_id, superseded } => {
                let note = superseded.then(|| format!("superseded by generation {}", after.generation));
                self.outcome.latencies.extend((!superseded).then(|| self.seconds_since(*event_id)).flatten());
                self.commands.ended(*event_id, false, by(), note);
            }
            Effect::Fail { event_id, cause, error, attempts } => {
                self.commands.ended(*event_id, true, by(), Some(error.clone()));
                let letter = self.letter(id, after, *event_id, cause, error, json!(attempts));
                self.letters.push(letter);
                rows.push(self.decision_row(id, "dead_lettered", after));
            }
            Effect::Decide(what) => rows.push(self.decision_row(id, what, after)),
            Effect::Warn(warning) => {
                let mut row = self.decision_row(id, warning.name(), after);
                let at = chrono::DateTime::from_timestamp_millis(warning.stops_at_ms).unwrap_or_default();
                row.payload["stops_at"] = json!(at);
                row.payload["prevent"] = warning.way_out().into();
                rows.push(row);
            }
            Effect::Superseded => {
                if let Some(report) = rows.first_mut() {
                    report.error_message = Some("superseded: not newer than what was applied".into());
                }
            }
        }
    }

    /// Seconds since a command was accepted: its id is a UUIDv7 and tells.
    fn seconds_since(&self, event_id: Uuid) -> Option<f64> {
        let (seconds, nanos) = event_id.get_timestamp()?.to_unix();
        Some((self.now_ms as f64 / 1e3 - seconds as f64 - f64::from(nanos) / 1e9).max(0.0))
    }

    fn decision_row(&self, id: Uuid, what: &str, after: &Session) -> event::Model {
        let entity = session::Model::entity(id);
        let mut row =
            self.log_row(event::Kind::Decision, Uuid::now_v7(), format!("streamspace.decision.{what}"), entity);
        row.payload = json!({ "decision": what, "status": after.status, "reason": after.reason });
        row.generation = after.generation;
        row.attempt = after.attempt;
        row.controller_id.clone_from(&after.controller_id);
        row.causation_id = after.command_id;
        row
    }

    fn command_row(
        &mut self,
        id: Uuid,
        after: &Session,
        event_id: Uuid,
        verb: Verb,
        ready: bool,
        force: bool,
    ) -> event::Model {
        let entity = session::Model::entity(id);
        let mut row = self.log_row(event::Kind::Command, event_id, self.command_subject(id, after, verb), entity);
        if let Some(slot) = self.sessions.get(&id) {
            row.payload = command_payload(&slot.row, after, event_id, verb, force, self.now_ms);
        }
        if let Some(slot) = self.sessions.get(&id) {
            row.turn = self.turns.take(&slot.row.user_id, verb, self.now_ms);
        }
        row.generation = after.generation;
        row.attempt = after.attempt;
        row.ready = ready;
        row.controller_id.clone_from(&after.controller_id);
        row.lane = after.lane.map(|lane| lane.as_str().into());
        row
    }

    /// Where a command goes; the bare subject of the contract while nobody is chosen, which is never published.
    fn command_subject(&self, id: Uuid, after: &Session, verb: Verb) -> String {
        let bare = format!("streamspace.{}", verb.name());
        let platform = self.sessions.get(&id).and_then(|slot| Platform::try_new(slot.row.platform.clone()).ok());
        let Some(platform) = platform else { return bare };
        let controller = after.controller_id.as_deref().and_then(|id| ControllerId::try_new(id).ok());
        match (after.lane, controller) {
            (Some(Lane::Durable), Some(controller)) => subject::command(verb, &platform, &controller),
            (Some(Lane::Core), _) => subject::core_command(verb, &platform),
            _ => bare,
        }
    }

    fn letter(
        &self,
        id: Uuid,
        after: &Session,
        event_id: Uuid,
        cause: &str,
        error: &str,
        attempts: Value,
    ) -> NewDeadLetter {
        let row = self.sessions.get(&id).map(|slot| &slot.row);
        let verb = row.and_then(|row| row.command_verb.as_deref()).and_then(Verb::from_name);
        let verb = verb.unwrap_or(Verb::SessionCreate);
        let payload = row.map(|row| command_payload(row, after, event_id, verb, false, self.now_ms));
        NewDeadLetter {
            source: format!("command:{event_id}"),
            event_id: Some(event_id),
            subject: self.command_subject(id, after, verb),
            reason: cause.to_owned(),
            error: error.to_owned(),
            payload: payload.map(|payload| payload.to_string().into_bytes()).unwrap_or_default(),
            headers: json!([]),
            attempts,
            entity: Some(session::Model::entity(id)),
            controller_id: after.controller_id.clone(),
            platform: row.map(|row| row.platform.clone()),
            copied: false,
        }
    }

    pub(super) fn slot(&self, id: Uuid) -> Result<&Slot<session::Model>, Error> {
        self.sessions.get(&id).ok_or_else(|| missing(id))
    }

    pub(super) fn facts(&self, id: Uuid) -> Result<Session, Error> {
        self.slot(id)?.row.facts().map_err(|error| Error::Unreadable(error.to_string().into()))
    }

    pub(super) fn session(&self, id: Uuid) -> Result<Done, Error> {
        Ok(Done::Session(Box::new(self.slot(id)?.row.clone())))
    }

    pub(super) async fn flush_sessions(&mut self, tx: &DatabaseTransaction) -> Result<(), DbErr> {
        let (mut new, mut changed) = (Vec::new(), Vec::new());
        for slot in std::mem::take(&mut self.sessions).into_values() {
            match slot.state {
                State::New => new.push(slot.row),
                State::Changed => changed.push(slot.row),
                State::Clean => {}
            }
        }
        insert(tx, new).await?;
        update(tx, changed).await
    }
}

pub(super) fn missing(id: Uuid) -> Error {
    Error::NotFound { what: "session", name: id.to_string() }
}

/// The hard columns that differ, with their new values.
fn difference(before: &Session, after: &Session) -> Map<String, Value> {
    if before == after {
        return Map::new();
    }
    let before = before.hard();
    after.hard().into_iter().filter(|(name, value)| before.get(name) != Some(value)).collect()
}
