//! What happens to debts: a former owner comes to owe the removal of a session, and its reports on that are the debt's and not
//! the session's.

use machine::Lane;
use machine::debt::{Debt, Decision, Event, create, decide};
use machine::facts::Facts as _;
use machine::session::Session;
use sea_orm::sea_query::ExprTrait;
use sea_orm::{ColumnTrait, DatabaseTransaction, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use streams::subject::Verb;
use uuid::Uuid;

use super::batch::{Batch, Slot, State};
use super::decided::{About, Rows};
use super::work::{Ask, Commanded, Done, Item, JobWrite, ReportIn, Work};
use super::{Error, Job};
use crate::entities::cleanup::{command, first_changes, first_row};
use crate::entities::replace;
use crate::store::{cleanup, event};

impl Batch<'_> {
    /// Reads and locks the debts that are meant, those of sessions that look for a place, and those that reports of others than
    /// the owner are about.
    pub(crate) async fn load_debts(
        &mut self,
        tx: &DatabaseTransaction,
        jobs: &[Job],
        meant: Vec<Uuid>,
    ) -> Result<(), DbErr> {
        use cleanup::Column as C;
        let sessions: Vec<Uuid> = jobs.iter().flat_map(|job| self.owing(&job.work)).collect();
        if sessions.is_empty() && meant.is_empty() {
            return Ok(());
        }
        let find = cleanup::Entity::find().filter(C::SessionId.is_in(sessions).or(C::DebtId.is_in(meant)));
        let rows = find.order_by_asc(C::DebtId).lock_exclusive().all(tx).await?;
        self.debts = rows.into_iter().map(|row| (row.debt_id, Slot { row, state: State::Clean })).collect();
        Ok(())
    }

    /// The sessions of a piece of work whose debts matter to it.
    fn owing(&self, work: &Work) -> Vec<Uuid> {
        match work {
            Work::If { then, .. } => self.owing(then),
            Work::Place(id) | Work::Ask(id, Ask::Wake | Ask::Move) => vec![*id],
            Work::Report(report) if self.is_foreign(report) => vec![report.session_id],
            Work::AttemptFailed(lost) => match lost.of {
                Commanded::Session(id) if lost.by.is_some() => vec![id],
                _ => Vec::new(),
            },
            Work::Job(JobWrite::Step(step)) => {
                let ids = step.items.iter().filter_map(|item| match item {
                    Item::Session(id, Ask::Wake | Ask::Move) => Some(*id),
                    _ => None,
                });
                ids.collect()
            }
            _ => Vec::new(),
        }
    }

    /// Whether a report comes from somebody else than the session's owner.
    fn is_foreign(&self, report: &ReportIn) -> bool {
        let seen = &report.observation;
        self.sessions.get(&report.session_id).is_some_and(|slot| {
            let lane = slot.row.lane.as_deref();
            let owner = slot.row.controller_id.as_deref() == Some(&seen.controller_id) || is_nameless(report);
            !owner || lane != Some(seen.lane.as_str())
        })
    }

    /// The debt that a report is about, if it is about one.
    pub(super) fn debt_of(&self, report: &ReportIn) -> Option<Uuid> {
        if self.debts.is_empty() || !self.is_foreign(report) {
            return None;
        }
        let seen = &report.observation;
        let mut debts = self.debts.values().map(|slot| &slot.row).filter(|row| row.session_id == report.session_id);
        let theirs = |row: &&cleanup::Model| row.controller_id == seen.controller_id || is_nameless(report);
        debts.find(|row| theirs(row) && row.lane.as_deref() == Some(seen.lane.as_str())).map(|row| row.debt_id)
    }

    /// Whether a controller must not get a session, because what it still has of it is to be removed. In the core lane every
    /// controller of the platform hears the delete.
    pub(super) fn owes(&self, session: Uuid, controller_id: &str, lane: Lane) -> bool {
        let core = |row: &cleanup::Model| lane == Lane::Core && row.lane.as_deref() == Some(Lane::Core.as_str());
        let mut debts = self.debts.values().map(|slot| &slot.row).filter(|row| row.session_id == session);
        debts.any(|row| row.status != "settled" && (row.controller_id == controller_id || core(row)))
    }

    /// The owner that a session had owes its removal, as of the generation at which the session has moved on.
    pub(super) fn owe(&mut self, had: &Session, generation: i64, trace: Option<&str>) -> Result<(), Error> {
        let (Some(controller_id), Some(lane)) = (&had.command.controller_id, had.command.lane) else { return Ok(()) };
        let id = cleanup::Model::id(had.session_id, controller_id);
        if self.debts.contains_key(&id) {
            return self.debt_event(id, &Event::Owed(generation), trace).map(drop);
        }
        let session = &self.slot(had.session_id)?.row;
        let context = self.context(Some(controller_id), Uuid::now_v7());
        let decision = create(id, controller_id, lane, generation, &context);
        let row = first_row(id, session, controller_id, &decision, self.now_ms);
        self.debts.insert(id, Slot { row, state: State::New });
        self.record_debt(id, decision, Vec::new(), trace).map(drop)
    }

    pub(super) fn debt_event(&mut self, id: Uuid, event: &Event, trace: Option<&str>) -> Result<Done, Error> {
        let (_, decision) = self.debt_decided(id, event)?;
        self.record_debt(id, decision, Vec::new(), trace)
    }

    /// What an event would do, without doing it.
    pub(super) fn debt_decided(&self, id: Uuid, event: &Event) -> Result<(Debt, Decision), Error> {
        let before = self.debt_slot(id)?.row.facts().map_err(|error| Error::Unreadable(error.to_string().into()))?;
        let context = self.context(before.command.controller_id.as_deref(), Uuid::now_v7());
        let decision = decide(&before, event, &context)?;
        Ok((before, decision))
    }

    pub(super) fn debt_report(&mut self, id: Uuid, report: &ReportIn, trace: Option<&str>) -> Result<Done, Error> {
        let (_, decision) = self.debt_decided(id, &Event::Report(Box::new(report.observation.clone())))?;
        let row = self.told(report).row(self.now_ms, cleanup::Model::entity(id));
        self.seen.insert(report.event_id, report.payload.clone());
        self.count_report(&report.observation.controller_id);
        self.record_debt(id, decision, vec![row], trace)?;
        Ok(Done::Written)
    }

    /// Turns a decision into the row, its log and the commands' changes. `rows` begins with the report, where there is one.
    fn record_debt(
        &mut self,
        id: Uuid,
        decision: Decision,
        rows: Vec<event::Row>,
        trace: Option<&str>,
    ) -> Result<Done, Error> {
        let Decision { debt: after, effects } = decision;
        self.follow(None, after.command.controller_id.as_deref(), (Some(Verb::SessionDelete), None), &effects);
        let now_ms = self.now_ms;
        let slot = self.debts.get_mut(&id).ok_or_else(|| missing(id))?;
        let changes = if slot.state == State::New && slot.row.entity_seq == 0 {
            first_changes(&slot.row, after.hard())
        } else {
            let before = slot.row.facts().map_err(|error| Error::Unreadable(error.to_string().into()))?;
            if before == after && effects.is_empty() && rows.is_empty() {
                return Ok(Done::Written);
            }
            after.difference(&before)
        };
        let mut entity_seq = slot.row.entity_seq;
        let payload =
            |event_id, _, _| command(&slot.row, after.command.generation, after.command.attempt, event_id, now_ms);
        let about = About {
            entity: cleanup::Model::entity(id),
            user: &slot.row.user_id,
            platform: &slot.row.platform,
            status: after.status.as_str(),
            command: &after.command,
            verb: Verb::SessionDelete,
            payload: &payload,
        };
        let (commands, outcome) = (&mut self.commands, &mut self.outcome);
        let (letters, turns) = (&mut self.letters, &mut *self.turns);
        let mut made = Rows { now_ms, commands, outcome, letters, turns, rows };
        effects.iter().for_each(|effect| made.effect(&about, effect));
        let made = made.sealed(&about, changes.into(), &mut entity_seq, trace);
        self.log.extend(made);
        slot.row.entity_seq = entity_seq;
        slot.row.assume(after, now_ms);
        slot.touch();
        self.outcome.wakes_at(slot.row.wake_ms);
        Ok(Done::Written)
    }

    fn debt_slot(&self, id: Uuid) -> Result<&Slot<cleanup::Model>, Error> {
        self.debts.get(&id).ok_or_else(|| missing(id))
    }

    /// Where one stands: its generation, and its open command.
    pub(super) fn debt_stands(&self, id: Uuid) -> Result<(i64, Option<Uuid>), Error> {
        let row = &self.debt_slot(id)?.row;
        Ok((row.generation, row.command_id))
    }

    /// The session that one is about, and whose that is.
    pub(super) fn debt_owner(&self, id: Uuid) -> Result<(Uuid, String), Error> {
        let row = &self.debt_slot(id)?.row;
        Ok((row.session_id, row.user_id.clone()))
    }

    pub(super) async fn flush_debts(&mut self, tx: &DatabaseTransaction) -> Result<(), DbErr> {
        let touched = std::mem::take(&mut self.debts).into_values().filter(|slot| slot.state != State::Clean);
        replace::<cleanup::Entity>(tx, touched.map(|slot| slot.row).collect()).await
    }
}

/// Whether a report of the core lane does not say who sent it.
fn is_nameless(report: &ReportIn) -> bool {
    report.observation.lane == Lane::Core && report.observation.controller_id.is_empty()
}

fn missing(id: Uuid) -> Error {
    Error::NotFound { what: "debt", name: id.to_string() }
}
