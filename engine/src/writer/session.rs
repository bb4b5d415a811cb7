//! What happens to a session: the machine decides, and its effects become rows.

use machine::facts::Facts as _;
use machine::placement::Place;
use machine::session::{Decision, Event, Observation, Session, create, decide};
use machine::{Context, Lane};
use sea_orm::{DatabaseTransaction, DbErr};
use serde::Deserialize;
use streams::crash::{Moment, point};
use streams::subject::Verb;
use streams::wire::Resources;
use uuid::Uuid;

use super::Error;
use super::batch::{Batch, Slot, State};
use super::decided::{About, Rows, Told};
use super::judged::{Verdict, Whose};
use super::work::{Ask, Done, NewSession, ReportIn};
use crate::entities::session::{command_payload, first_changes, first_row, readiness_ms};
use crate::store::text::Body;
use crate::store::{event, session};

/// The fence's columns: they move with every report, which alone is not worth a row of the log.
const FENCE: [&str; 3] = ["seen_generation", "seen_epoch", "seen_seq"];

impl Batch<'_> {
    pub(super) fn create(&mut self, new: &NewSession, trace: Option<&str>) -> Result<Done, Error> {
        if let Some(slot) = self.sessions.get(&new.session_id) {
            return Ok(Done::Session(Box::new(slot.row.clone())));
        }
        let template = self.pinned(&new.template_id)?; // before anything is counted
        self.sizes.check_session(&new.template_id, template.text())?;
        let place = self.choose_for(new.session_id, &new.platform, &new.selector);
        let owner = match &place {
            Place::Chosen { controller_id, .. } => Some(controller_id.clone()),
            Place::Wait(_) => None,
        };
        let context = Context {
            readiness_ms: template.readiness_ms(),
            room: owner.as_deref().and_then(|owner| self.room(owner)),
            ..self.context(owner.as_deref(), new.event_id)
        };
        let decision = create(new.session_id, &place, new.idle_timeout_s, new.max_duration_s, &context);
        let row = first_row(new, &template, &decision.session, self.now_ms);
        self.sessions.insert(new.session_id, Slot { row, state: State::New });
        self.record(new.session_id, None, decision, Vec::new(), trace)?;
        self.session(new.session_id)
    }

    pub(super) fn ask(&mut self, id: Uuid, ask: Ask, trace: Option<&str>) -> Result<Done, Error> {
        if ask == Ask::Move {
            self.move_on(id, trace)?;
            return self.session(id);
        }
        let event = self.asked(id, ask)?;
        self.happened(id, &event, trace)
    }

    /// The same as one of many; says whether there is anything to do.
    pub(super) fn ask_item(&mut self, id: Uuid, ask: Ask, trace: Option<&str>) -> Result<bool, Error> {
        if ask == Ask::Move {
            return self.move_on(id, trace);
        }
        let event = self.asked(id, ask)?;
        let (before, decision) = self.decided(id, &event)?;
        if decision.effects.is_empty() {
            return Ok(false); // what is asked holds, or is under way
        }
        self.record(id, Some(&before), decision, Vec::new(), trace)?;
        Ok(true)
    }

    pub(super) fn asked(&self, id: Uuid, ask: Ask) -> Result<Event, Error> {
        let slot = self.slot(id)?;
        Ok(match ask {
            Ask::Hibernate => Event::Hibernate,
            Ask::Delete { force } => Event::Delete { force },
            Ask::Activity => Event::Activity,
            Ask::Extend { by_s } => Event::Extend { by_s },
            Ask::Again => Event::Again,
            Ask::Wake if slot.row.controller_id.is_none() => Event::Wake(self.choose_again(id)?),
            Ask::Wake | Ask::Move => Event::Wake(Place::Wait(String::new())),
        })
    }

    pub(super) fn decided(&self, id: Uuid, event: &Event) -> Result<(Session, Decision), Error> {
        let before = self.facts(id)?;
        let context = self.session_context(id, before.command.controller_id.as_deref())?;
        let decision = decide(&before, event, &context)?;
        Ok((before, decision))
    }

    /// What a decision about a session may know, where this is its owner.
    pub(super) fn session_context(&self, id: Uuid, owner: Option<&str>) -> Result<Context, Error> {
        let readiness_ms = readiness_ms(&self.slot(id)?.row.template);
        let room = owner.and_then(|owner| self.room(owner));
        let context = self.context(owner, Uuid::now_v7());
        let owner_ready = context.owner_ready && owner.is_some_and(|owner| self.admits_start_of(owner, id));
        Ok(Context { room, readiness_ms, owner_ready, ..context })
    }

    pub(super) fn place_again(&mut self, id: Uuid, trace: Option<&str>) -> Result<Done, Error> {
        let place = self.choose_again(id)?;
        point("placement.decide", Moment::During);
        self.happened(id, &Event::Placed(place), trace)
    }

    pub(super) fn happened(&mut self, id: Uuid, event: &Event, trace: Option<&str>) -> Result<Done, Error> {
        let (before, decision) = self.decided(id, event)?;
        if matches!(event, Event::Deadline { .. }) {
            let row = self.slot(id)?.row.clone();
            let open = (before.command.id, before.command.verb.as_deref());
            self.judge_silence(before.command.controller_id.as_deref(), open, whose(&row), &decision.effects);
        }
        self.record(id, Some(&before), decision, Vec::new(), trace)?;
        self.session(id)
    }

    pub(super) fn report(&mut self, report: &ReportIn, trace: Option<&str>) -> Result<Done, Error> {
        if self.is_known(report.event_id, &report.payload)? {
            return Ok(Done::Duplicate);
        }
        if let Some(debt) = self.debt_of(report) {
            self.may_report(&report.subject)?;
            return self.debt_report(debt, report, trace);
        }
        let before = self.facts(report.session_id)?;
        let context = self.session_context(report.session_id, before.command.controller_id.as_deref())?;
        let observation = Observation { in_use: self.in_use(report), ..report.observation.clone() };
        let decision = decide(&before, &Event::Report(Box::new(observation)), &context)?;
        self.may_report(&report.subject)?;
        let seen = &report.observation;
        let core = before.command.id.filter(|_| seen.lane == Lane::Core);
        let (owner, command) = (before.command.controller_id.as_deref(), seen.causation_id.or(core));
        if seen.error.is_some() || decision.session.command.id != before.command.id {
            let row = self.slot(report.session_id)?.row.clone();
            let open = (before.command.id, before.command.verb.as_deref());
            let verdict = Verdict { owner, command, open, error: seen.error.as_ref(), whose: whose(&row) };
            self.judge(&verdict, &decision.effects);
        }
        self.count_report(&report.observation.controller_id);
        if let (Some(usage), Some(slot)) = (&report.resource_usage, self.sessions.get_mut(&report.session_id)) {
            slot.row.resource_usage = Some(usage.clone());
            slot.touch();
        }
        let row = self.told(report).row(self.now_ms, session::Model::entity(report.session_id));
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
            slot.row.template.value()["spec"]["useCpuPercent"].as_u64().and_then(|percent| u8::try_from(percent).ok());
        streams::usage::is_use(&usage, &may_use, percent)
    }

    /// What the log has of a report.
    pub(super) fn told<'a>(&self, report: &'a ReportIn) -> Told<'a> {
        let seen = &report.observation;
        Told {
            event_id: report.event_id,
            subject: &report.subject,
            payload: &report.payload,
            generation: seen.generation,
            attempt: seen.attempt,
            controller_id: &seen.controller_id,
            causation_id: seen.causation_id,
            lane: seen.lane,
            source: seen.source,
        }
    }

    /// Turns a decision into the row, its log and the commands' changes. `rows` begins with the report, where there is one.
    pub(super) fn record(
        &mut self,
        id: Uuid,
        before: Option<&Session>,
        decision: Decision,
        rows: Vec<event::Row>,
        trace: Option<&str>,
    ) -> Result<(), Error> {
        let Decision { session: after, effects } = decision;
        let quiet = rows.iter().all(|row| row.causation_id.is_none()) && effects.is_empty();
        let changes = match before {
            None => first_changes(&self.slot(id)?.row, &after),
            Some(before) => {
                let changes = after.difference(before);
                if quiet && changes.keys().all(|name| FENCE.contains(&name.as_str())) {
                    return self.keep_fence(id, before, after); // nothing but soft columns moved: no row of the log
                }
                changes.into()
            }
        };
        self.keep_count(before, &after);
        let was = before.and_then(|before| before.command.controller_id.as_deref());
        let verb = after.command.verb.as_deref().and_then(Verb::from_name);
        self.follow(was, after.command.controller_id.as_deref(), (verb, after.command.deadline_ms), &effects);
        let now_ms = self.now_ms;
        let slot = self.sessions.get_mut(&id).ok_or_else(|| missing(id))?;
        let mut entity_seq = slot.row.entity_seq;
        let payload = |event_id, verb, force| command_payload(&slot.row, &after, event_id, verb, force, now_ms);
        let about = about(&slot.row, &after, &payload);
        let (commands, outcome) = (&mut self.commands, &mut self.outcome);
        let (letters, turns) = (&mut self.letters, &mut *self.turns);
        let mut made = Rows { now_ms, commands, outcome, letters, turns, rows };
        effects.iter().for_each(|effect| made.effect(&about, effect));
        self.log.extend(made.sealed(&about, changes, &mut entity_seq, trace));
        slot.row.entity_seq = entity_seq;
        slot.row.assume(after, now_ms);
        slot.touch();
        self.outcome.wakes_at(slot.row.wake_ms);
        Ok(())
    }

    /// Soft columns are stored without a trace in the log; the fence then stays where the log has it.
    fn keep_fence(&mut self, id: Uuid, before: &Session, mut after: Session) -> Result<(), Error> {
        let slot = self.sessions.get_mut(&id).ok_or_else(|| missing(id))?;
        if *before == after {
            return Ok(());
        }
        (after.command.seen_generation, after.command.seen_epoch, after.command.seen_seq) =
            (before.command.seen_generation, before.command.seen_epoch, before.command.seen_seq);
        let updated_ms = slot.row.updated_ms;
        slot.row.assume(after, updated_ms);
        slot.touch();
        self.outcome.wakes_at(slot.row.wake_ms);
        Ok(())
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

    pub(super) fn changed_sessions(&self) -> impl Iterator<Item = &session::Model> {
        self.sessions.values().filter(|slot| slot.state != State::Clean).map(|slot| &slot.row)
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
        session::INSERT.run::<session::Entity>(tx, new).await?;
        session::UPDATE.run::<session::Entity>(tx, changed).await
    }
}

pub(super) fn missing(id: Uuid) -> Error {
    Error::NotFound { what: "session", name: id.to_string() }
}

fn whose(row: &session::Model) -> Whose<'_> {
    Whose { id: row.session_id, template: &row.template_id, manifest: row.template.as_str(), session: true }
}

fn about<'a>(row: &'a session::Model, after: &'a Session, payload: &'a dyn Fn(Uuid, Verb, bool) -> Body) -> About<'a> {
    let verb = after.command.verb.as_deref().or(row.command_verb.as_deref());
    About {
        entity: session::Model::entity(row.session_id),
        user: &row.user_id,
        platform: &row.platform,
        status: after.status.as_str(),
        command: &after.command,
        verb: verb.and_then(Verb::from_name).unwrap_or(Verb::SessionCreate),
        payload,
    }
}
