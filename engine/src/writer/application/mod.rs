//! What happens to an application: the machine decides, its effects become rows, and its template comes and goes with it.

mod load;
mod register;
mod work;

use machine::application::{Application, Decision, Event, create, decide};
use machine::facts::Facts as _;
use machine::placement::Place;
use machine::{Context, Lane};
use serde_json::{Map, Value};
use streams::subject::Verb;
use streams::wire::AppState;
use uuid::Uuid;

use super::Error;
use super::batch::{Batch, Slot, State};
use super::decided::{About, Rows, Told};
use super::judged::{Verdict, Whose};
use super::work::Done;
use crate::store::application;
use crate::store::text::Body;

pub(super) use load::{Needs, Using};
pub use work::{ApplicationReport, ApplicationWork, NewApplication, TemplateReport, UninstallApplication};

impl Batch<'_> {
    pub(super) fn application(&mut self, work: &ApplicationWork, trace: Option<&str>) -> Result<Done, Error> {
        match work {
            ApplicationWork::Install(new) => self.install(new, trace),
            ApplicationWork::Uninstall(asked) => self.uninstall(asked.id, asked.force, trace),
            ApplicationWork::Again(id) => self.application_event(*id, &Event::Again, trace),
            ApplicationWork::Happened(id, event) => self.application_event(*id, event, trace),
            ApplicationWork::Place(id) => {
                let place = self.choose(&self.application_slot(*id)?.row.platform, "applications");
                self.application_event(*id, &Event::Placed(place), trace)
            }
            ApplicationWork::Report(report) => self.application_report(report, trace),
            ApplicationWork::Template(report) => self.template_report(report, trace),
        }
    }

    /// The application of this name on this platform is answered as it is where its manifest is the same, and upgraded where
    /// it is another one; where there is none it is new.
    fn install(&mut self, new: &NewApplication, trace: Option<&str>) -> Result<Done, Error> {
        self.sizes.check_application(&new.text, &new.manifest)?;
        let name = &new.manifest.metadata.name;
        let same = |row: &application::Model| row.template_name == *name && row.platform == new.platform;
        let living =
            self.applications.values().map(|slot| &slot.row).find(|row| same(row) && !application::is_gone(row));
        let place = self.choose(&new.platform, "applications");
        let Some(id) = living.map(|row| row.install_id) else {
            self.refuse_foreign(name, &new.manifest, None)?;
            return self.first_install(new, &place, trace);
        };
        self.refuse_foreign(name, &new.manifest, Some(id))?;
        let slot = self.applications.get_mut(&id).ok_or_else(|| missing(id))?;
        let changed = slot.row.manifest != new.text;
        let mut also = Map::new();
        if changed {
            slot.row.manifest.clone_from(&new.text);
            slot.row.display_name.clone_from(&new.manifest.spec.display_name);
            slot.row.installed_by.clone_from(&new.installed_by);
            also = application::asked(&slot.row);
        }
        let before = self.application_facts(id)?;
        let context = Context { fresh_id: new.event_id, ..self.application_context(id, &before) };
        let decision = decide(&before, &Event::Install { place, changed }, &context)?;
        self.record_application(id, Some(&before), decision, also, Vec::new(), trace)
    }

    fn first_install(&mut self, new: &NewApplication, place: &Place, trace: Option<&str>) -> Result<Done, Error> {
        let owner = match place {
            Place::Chosen { controller_id, .. } => Some(controller_id.as_str()),
            Place::Wait(_) => None,
        };
        let decision = create(new.install_id, place, &self.context(owner, new.event_id));
        let catalog_id = self.catalog_id(&new.manifest.metadata.name);
        let row = application::first(new, catalog_id, &decision.application, self.now_ms);
        let also = application::asked(&row);
        self.applications.insert(new.install_id, Slot { row, state: State::New });
        self.record_application(new.install_id, None, decision, also, Vec::new(), trace)
    }

    /// Who installed one.
    pub(super) fn application_owner(&self, id: Uuid) -> Result<String, Error> {
        self.application_slot(id).map(|slot| slot.row.installed_by.clone())
    }

    fn uninstall(&mut self, id: Uuid, force: bool, trace: Option<&str>) -> Result<Done, Error> {
        let row = &self.application_slot(id)?.row;
        let placed = row.controller_id.is_some() && !application::is_gone(row);
        let using = self.using.get(&id).filter(|using| using.count > 0 && placed && !force);
        if let Some(Using { count, first }) = using.cloned() {
            return Err(Error::InUse { name: row.template_name.clone(), count, first });
        }
        self.application_event(id, &Event::Uninstall, trace)
    }

    pub(super) fn application_event(&mut self, id: Uuid, event: &Event, trace: Option<&str>) -> Result<Done, Error> {
        let before = self.application_facts(id)?;
        let context = self.application_context(id, &before);
        let decision = decide(&before, event, &context)?;
        if matches!(event, Event::Deadline { .. }) {
            let row = self.application_slot(id)?.row.clone();
            let open = (before.command.id, before.command.verb.as_deref());
            self.judge_silence(before.command.controller_id.as_deref(), open, whose(&row), &decision.effects);
        }
        self.record_application(id, Some(&before), decision, Map::new(), Vec::new(), trace)
    }

    fn application_report(&mut self, report: &ApplicationReport, trace: Option<&str>) -> Result<Done, Error> {
        if self.is_known(report.event_id, &report.payload)? {
            return Ok(Done::Duplicate);
        }
        let (id, seen) = (report.install_id, &report.observation);
        let before = self.application_facts(id)?;
        let context = self.application_context(id, &before);
        let decision = decide(&before, &Event::Report(Box::new(seen.clone())), &context)?;
        self.may_report(&report.subject)?;
        let core = before.command.id.filter(|_| seen.lane == Lane::Core);
        let (owner, command) = (before.command.controller_id.as_deref(), seen.causation_id.or(core));
        let row = self.application_slot(id)?.row.clone();
        let open = (before.command.id, before.command.verb.as_deref());
        let verdict = Verdict { owner, command, open, error: seen.error.as_ref(), whose: whose(&row) };
        self.judge(&verdict, &decision.effects);
        self.count_report(&seen.controller_id);
        let told = Told {
            event_id: report.event_id,
            subject: &report.subject,
            payload: &report.payload,
            generation: seen.generation,
            attempt: seen.attempt,
            controller_id: &seen.controller_id,
            causation_id: seen.causation_id,
            lane: seen.lane,
            source: seen.source,
        };
        let row = told.row(self.now_ms, application::Model::entity(id));
        self.seen.insert(report.event_id, report.payload.clone());
        self.record_application(id, Some(&before), decision, Map::new(), vec![row], trace)
    }

    /// Turns a decision into the row, its log, the commands' changes, and what becomes of the template. `also` are columns
    /// that were changed besides the machine's; `rows` begins with the report, where there is one.
    fn record_application(
        &mut self,
        id: Uuid,
        before: Option<&Application>,
        decision: Decision,
        also: Map<String, Value>,
        rows: Vec<crate::store::event::Row>,
        trace: Option<&str>,
    ) -> Result<Done, Error> {
        let Decision { application: mut after, effects } = decision;
        let becomes_ready = after.status == AppState::Ready && before.is_none_or(|b| b.status != AppState::Ready);
        if let Some(note) = becomes_ready.then(|| self.left_alone(id)).flatten() {
            after.command.message = Some(note);
        }
        if rows.is_empty() && effects.is_empty() && also.is_empty() && before == Some(&after) {
            return self.application_done(id);
        }
        let was = before.and_then(|before| before.command.controller_id.as_deref());
        let verb = after.command.verb.as_deref().and_then(Verb::from_name);
        self.follow(was, after.command.controller_id.as_deref(), (verb, after.command.deadline_ms), &effects);
        let mut changes = before.map_or_else(|| after.hard(), |before| after.difference(before));
        changes.extend(also);
        let now_ms = self.now_ms;
        let slot = self.applications.get_mut(&id).ok_or_else(|| missing(id))?;
        let mut entity_seq = slot.row.entity_seq;
        let payload = |event_id, verb, _| application::payload(&slot.row, &after, event_id, verb, now_ms);
        let about = about(&slot.row, &after, &payload);
        let (commands, outcome) = (&mut self.commands, &mut self.outcome);
        let (letters, turns) = (&mut self.letters, &mut *self.turns);
        let mut made = Rows { now_ms, commands, outcome, letters, turns, rows };
        effects.iter().for_each(|effect| made.effect(&about, effect));
        let made = made.sealed(&about, changes.into(), &mut entity_seq, trace);
        self.log.extend(made);
        let (was, is) = (before.map(|before| before.status), after.status);
        slot.row.entity_seq = entity_seq;
        slot.row.assume(after, now_ms);
        slot.touch();
        self.outcome.wakes_at(slot.row.wake_ms);
        if was != Some(is) {
            match is {
                AppState::Ready => self.register(id, trace)?,
                AppState::Uninstalled => self.withdraw(id, trace)?,
                _ => {}
            }
        }
        self.application_done(id)
    }

    pub(super) fn application_slot(&self, id: Uuid) -> Result<&Slot<application::Model>, Error> {
        self.applications.get(&id).ok_or_else(|| missing(id))
    }

    /// What a decision about an application may know.
    fn application_context(&self, id: Uuid, before: &Application) -> Context {
        let owner = before.command.controller_id.as_deref();
        let context = self.context(owner, Uuid::now_v7());
        let owner_ready = context.owner_ready && owner.is_some_and(|owner| self.admits_start_of(owner, id));
        Context { owner_ready, ..context }
    }

    fn application_facts(&self, id: Uuid) -> Result<Application, Error> {
        self.application_slot(id)?.row.facts().map_err(|error| Error::Unreadable(error.to_string().into()))
    }

    fn application_done(&self, id: Uuid) -> Result<Done, Error> {
        Ok(Done::Application(Box::new(self.application_slot(id)?.row.clone())))
    }

    /// Where one stands: its generation, and its open command.
    pub(super) fn application_stands(&self, id: Uuid) -> Result<(i64, Option<Uuid>), Error> {
        let row = &self.application_slot(id)?.row;
        Ok((row.generation, row.command_id))
    }

    /// What would come of it if what it desires were tried once more.
    pub(super) fn application_would_again(&self, id: Uuid) -> Result<(Application, Decision), Error> {
        let before = self.application_facts(id)?;
        let context = self.application_context(id, &before);
        let decision = decide(&before, &Event::Again, &context)?;
        Ok((before, decision))
    }
}

fn whose(row: &application::Model) -> Whose<'_> {
    Whose { id: row.install_id, template: &row.template_name, manifest: &row.manifest, session: false }
}

fn about<'a>(
    row: &'a application::Model,
    after: &'a Application,
    payload: &'a dyn Fn(Uuid, Verb, bool) -> Body,
) -> About<'a> {
    let verb = after.command.verb.as_deref().or(row.command_verb.as_deref());
    About {
        entity: application::Model::entity(row.install_id),
        user: &row.installed_by,
        platform: &row.platform,
        status: after.status.as_str(),
        command: &after.command,
        verb: verb.and_then(Verb::from_name).unwrap_or(Verb::AppInstall),
        payload,
    }
}

fn missing(id: Uuid) -> Error {
    Error::NotFound { what: "application", name: id.to_string() }
}
