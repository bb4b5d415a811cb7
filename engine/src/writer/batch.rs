//! One transaction: the rows that it touches, what the work made of them, and how they are written.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use machine::placement::{Place, choose};
use sea_orm::sea_query::OnConflict;
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseTransaction, DbErr, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder,
    QuerySelect,
};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::application::Using;
use super::commands::Commands;
use super::keys::Keys;
use super::known::Known;
use super::needs::Needs;
use super::outcome::Outcome;
use super::prune::Prune;
use super::records::Gone;
use super::room::{Load, Rooms};
use super::turns::Turns;
use super::work::{Done, Work};
use super::{Error, Job, NewDeadLetter};
use crate::entities::session::Pinned;
use crate::entities::{Kind, Noun as _, nouns};
use crate::fold::Folding;
use crate::relay::Flight;
use crate::sizes::Sizes;
use crate::store::bulk::padded;
use crate::store::{application as app, cleanup, controller, dead_letter, event, job, session, stream_epoch, template};

/// A row in the making.
#[derive(Debug)]
pub(crate) struct Slot<M> {
    pub(crate) row: M,
    pub(super) state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Clean,
    Changed,
    New,
}

impl<M> Slot<M> {
    /// As it was read.
    pub(crate) const fn clean(row: M) -> Self {
        Self { row, state: State::Clean }
    }

    pub(crate) fn touch(&mut self) {
        if self.state == State::Clean {
            self.state = State::Changed;
        }
    }
}

/// What the writer keeps from one transaction to the next.
pub(super) struct Memory<'a> {
    pub(super) load: &'a mut Load,
    pub(super) turns: &'a mut Turns,
    pub(super) flight: &'a Flight,
    pub(super) sizes: &'a Sizes,
    pub(super) admission: machine::admission::Policy,
}

pub(crate) struct Batch<'a> {
    pub(super) now_ms: i64,
    keys: Keys,
    pub(crate) sessions: BTreeMap<Uuid, Slot<session::Model>>,
    pub(crate) applications: BTreeMap<Uuid, Slot<app::Model>>,
    /// Of applications that are to be uninstalled.
    pub(super) using: HashMap<Uuid, Using>,
    pub(super) amended: BTreeSet<Uuid>,
    pub(crate) debts: BTreeMap<Uuid, Slot<cleanup::Model>>,
    /// The logs of what may be repaired.
    pub(super) logs: HashMap<String, Folding>,
    /// Sessions that are written as they are, to the last column.
    pub(crate) repaired: BTreeSet<Uuid>,
    pub(crate) controllers: BTreeMap<String, Slot<controller::Model>>,
    pub(crate) templates: BTreeMap<String, Slot<template::Model>>,
    /// What of them sessions take that are created here.
    pub(super) pinned: HashMap<String, Arc<Pinned>>,
    pub(super) letters: Vec<NewDeadLetter>,
    pub(crate) known_letters: HashMap<Uuid, dead_letter::Model>,
    pub(super) settled: Vec<Vec<sea_orm::Value>>,
    pub(crate) jobs: BTreeMap<Uuid, Slot<job::Model>>,
    pub(super) edits: Vec<(Uuid, serde_json::Value)>,
    pub(super) copied: Vec<Uuid>,
    pub(super) seen: HashMap<Uuid, Value>,
    pub(super) log: Vec<event::Row>,
    pub(super) commands: Commands,
    pub(super) next_catalog_id: i64,
    pub(super) prunes: Vec<Prune>,
    pub(super) gone: Gone,
    epochs: Vec<stream_epoch::Model>,
    pub(super) load: &'a mut Load,
    pub(super) rooms: Rooms,
    pub(super) turns: &'a mut Turns,
    flight: &'a Flight,
    pub(super) sizes: &'a Sizes,
    /// What a controller may do that nobody has heard of before.
    pub(super) admission: machine::admission::Policy,
    /// Where the logs end of controllers that were removed.
    pub(super) ended_logs: HashMap<String, i64>,
    /// What depends on the controllers that are to be removed.
    pub(super) held: HashMap<String, machine::admission::Held>,
    /// The controllers whose rows go.
    pub(super) removed: Vec<String>,
    pub(super) outcome: Outcome,
}

impl<'a> Batch<'a> {
    /// Reads and locks, in key order, all that the work touches.
    pub(super) async fn load(
        tx: &DatabaseTransaction,
        jobs: &[Job],
        now_ms: i64,
        known: Known,
        memory: Memory<'a>,
    ) -> Result<Self, DbErr> {
        let mut needs = Needs::of(jobs);
        let known = if needs.logs.is_empty() { known } else { Known::default() }; // a repair is about what others wrote
        let mut batch = Self { templates: known.templates, ..Self::empty(now_ms, memory) };
        batch.keys = Keys::load(tx, jobs, now_ms).await?;
        needs.known_controllers = known.controllers;
        for kind in Kind::ALL {
            nouns!(of_kind(kind, N, N::lock(&mut batch, tx, &mut needs, jobs).await?));
        }
        batch.load_seen(tx, needs.reports).await?;
        batch.load_logs(tx, needs.logs).await?;
        Ok(batch)
    }

    fn empty(now_ms: i64, memory: Memory<'a>) -> Self {
        let Memory { load, turns, flight, sizes, admission } = memory;
        Self {
            now_ms,
            keys: Keys::default(),
            sessions: BTreeMap::new(),
            applications: BTreeMap::new(),
            using: HashMap::new(),
            amended: BTreeSet::new(),
            debts: BTreeMap::new(),
            logs: HashMap::new(),
            repaired: BTreeSet::new(),
            controllers: BTreeMap::new(),
            templates: BTreeMap::new(),
            pinned: HashMap::new(),
            letters: Vec::new(),
            known_letters: HashMap::new(),
            settled: Vec::new(),
            jobs: BTreeMap::new(),
            edits: Vec::new(),
            copied: Vec::new(),
            seen: HashMap::new(),
            log: Vec::new(),
            commands: Commands::default(),
            next_catalog_id: 1,
            prunes: Vec::new(),
            gone: Gone::default(),
            epochs: Vec::new(),
            load,
            rooms: Rooms::default(),
            turns,
            flight,
            sizes,
            admission,
            ended_logs: HashMap::new(),
            held: HashMap::new(),
            removed: Vec::new(),
            outcome: Outcome::default(),
        }
    }

    async fn load_seen(&mut self, tx: &DatabaseTransaction, reports: Vec<Uuid>) -> Result<(), DbErr> {
        if reports.is_empty() {
            return Ok(());
        }
        let rows: Vec<(Uuid, Value)> = event::Entity::find()
            .select_only()
            .column(event::Column::EventId)
            .column(event::Column::Payload)
            .filter(event::Column::EventId.is_in(padded(reports)))
            .filter(event::Column::Direction.eq(event::Kind::Report.direction()))
            .into_tuple()
            .all(tx)
            .await?;
        self.seen = rows.into_iter().collect();
        Ok(())
    }

    pub(crate) async fn lock_needed_controllers(
        &mut self,
        tx: &DatabaseTransaction,
        needs: &mut Needs,
        jobs: &[Job],
    ) -> Result<(), DbErr> {
        let starts = self.starts(jobs);
        let (known, meant) = (needs.known_controllers.take(), std::mem::take(&mut needs.controllers));
        self.load_controllers(tx, known, meant, &needs.judged, &needs.succeeded, starts).await?;
        self.load_held(tx, std::mem::take(&mut needs.removes)).await
    }

    pub(crate) async fn load_templates(&mut self, tx: &DatabaseTransaction, needs: &mut Needs) -> Result<(), DbErr> {
        let mut names = std::mem::take(&mut needs.templates);
        names.retain(|name| !self.templates.contains_key(name));
        if !names.is_empty() {
            let rows = template::Entity::find().filter(template::Column::Name.is_in(names)).all(tx).await?;
            self.templates.extend(rows.into_iter().map(|row| (row.name.clone(), Slot::clean(row))));
        }
        if needs.catalog {
            self.next_catalog_id = next_catalog_id(tx).await?;
        }
        Ok(())
    }

    /// Does one piece of work to the rows in memory; where its request was answered before, that is the answer.
    pub(super) fn apply(&mut self, job: &Job) -> Result<Done, Error> {
        let trace = job.traceparent.as_deref();
        let Some(key) = &job.key else { return self.carry_out(&job.work, trace) };
        if let Some(answer) = self.keys.answer(key)? {
            return Ok(answer);
        }
        let done = self.carry_out(&job.work, trace)?;
        self.keys.keep(key, &done, self.now_ms)?;
        Ok(done)
    }

    fn carry_out(&mut self, work: &Work, trace: Option<&str>) -> Result<Done, Error> {
        match work {
            Work::If { session, stands, then } => {
                self.check(*session, stands)?;
                self.carry_out(then, trace)
            }
            Work::Amend(id, change) => self.amend(*id, change, trace),
            Work::Create(new) => self.create(new, trace),
            Work::Ask(id, ask) => self.ask(*id, *ask, trace),
            Work::Report(report) => self.report(report, trace),
            Work::Place(id) => self.place_again(*id, trace),
            Work::Happened(id, event) => self.happened(*id, event, trace),
            Work::AttemptFailed(lost) => self.attempt_failed(lost, trace),
            Work::Application(work) => self.application(work, trace),
            Work::Template(write) => self.template(write, trace),
            Work::Heartbeat(heartbeat) => self.heartbeat(heartbeat),
            Work::Controller(event) => self.controller_event(&event.controller_id, &event.event),
            Work::Revoke(revocation) => self.revoke(revocation, trace),
            Work::Reinstate(asked) => self.reinstate(&asked.controller_id, &asked.why, &asked.by),
            Work::Operate(asked) => self.operated(&asked.controller_id, asked.what, &asked.why, &asked.by),
            Work::Debt(id, event) => self.debt_event(*id, event, trace),
            Work::Synced(synced) => self.synced(&synced.controller_id, synced.instance_id),
            Work::Published(marks) => {
                self.commands.published(marks);
                Ok(Done::Written)
            }
            Work::Park(letter) => {
                self.letters.push(NewDeadLetter::clone(letter));
                Ok(Done::Written)
            }
            Work::Copied(ids) => {
                self.copied.extend(ids);
                Ok(Done::Written)
            }
            Work::Replay(asked) => self.replay(asked.letter, &asked.how, &asked.by, trace),
            Work::TryReplay(asked) => self.try_replay(asked.letter, &asked.how),
            Work::Edit(asked) => self.edit(asked.letter, &asked.edit, &asked.by, trace),
            Work::Discard(asked) => self.discard(asked.letter, &asked.why, &asked.by, trace),
            Work::Job(write) => self.job(write, trace),
            Work::Rebuild(asked) => self.rebuild_ordered(&asked.why, &asked.by, trace),
            Work::Prune(prune) => {
                self.prunes.push(Prune::clone(prune));
                Ok(Done::Written)
            }
            Work::PruneRecords(records) => {
                self.prune_records(records);
                Ok(Done::Written)
            }
            Work::Epoch(known) => {
                let (name, created_at) = (known.name.to_owned(), known.created_at.clone());
                let (epoch, last_seq) = (known.epoch, known.last_seq);
                self.epochs.push(stream_epoch::Model { name, epoch, created_at, last_seq });
                Ok(Done::Written)
            }
        }
    }

    /// The controller of a platform that serves a domain, by what is known in this transaction.
    pub(super) fn choose(&self, platform: &str, domain: &'static str) -> Place {
        let mine = self.controllers.values().filter(|slot| slot.row.platform == platform);
        let candidates: Vec<_> = mine.map(|slot| slot.row.candidate(domain, slot.row.reported())).collect();
        choose(platform, &candidates)
    }

    /// The controller that a session goes to: one with the labels that it asks for, and none that still has something of it to
    /// remove.
    pub(super) fn choose_for(&self, session: Uuid, platform: &str, selector: &Map<String, Value>) -> Place {
        let mine = self.controllers.values().filter(|slot| slot.row.platform == platform);
        let candidates = mine.map(|slot| {
            let held = self.load_of(&slot.row.controller_id);
            let mut candidate = slot.row.candidate_for("sessions", held, selector);
            if candidate.ready && self.owes(session, &candidate.controller_id, candidate.lane) {
                candidate.ready = false;
                candidate.reason = Some("it has still to remove what it had of this session".into());
            }
            candidate
        });
        choose(platform, &candidates.collect::<Vec<_>>())
    }

    /// The same for a session that is there.
    pub(super) fn choose_again(&self, session: Uuid) -> Result<Place, Error> {
        let row = &self.slot(session)?.row;
        let (none, asked) = (Map::new(), row.selector.as_object());
        Ok(self.choose_for(session, &row.platform, asked.unwrap_or(&none)))
    }

    pub(super) fn owner_ready(&self, owner: Option<&str>) -> bool {
        owner.and_then(|id| self.controllers.get(id)).is_some_and(|slot| slot.row.ready())
    }

    /// Whether a breaker on probation would take the start of this session.
    pub(super) fn admits_start_of(&self, owner: &str, id: Uuid) -> bool {
        let row = self.controllers.get(owner).map(|slot| &slot.row);
        row.is_none_or(|row| row.at_ease() || row.breaker().admits_start_of(id))
    }

    /// Writes everything; the caller commits. Says what the commit means, and what is known with it.
    pub(super) async fn flush(mut self, tx: &DatabaseTransaction) -> Result<(Outcome, Known), DbErr> {
        self.outcome.witness = self.log.first().map(|row| (row.event_id, row.kind.direction()));
        self.keys.flush(tx).await?;
        self.flush_controllers(tx).await?;
        self.flush_templates(tx).await?;
        self.flush_amended(tx).await?;
        self.flush_repaired(tx).await?;
        self.flush_sessions(tx).await?;
        self.flush_applications(tx).await?;
        self.flush_debts(tx).await?;
        self.flush_log(tx).await?;
        self.outcome.ended = self.commands.make_room();
        self.outcome.queued -= self.commands.marked();
        self.outcome.outbox |= self.commands.flush(tx, self.now_ms, self.flight, &mut self.outcome).await?;
        self.flush_letters(tx).await?;
        self.flush_jobs(tx).await?;
        self.flush_epochs(tx).await?;
        self.flush_gone(tx).await?;
        self.flush_prunes(tx).await?;
        let known = Known { controllers: Some(self.controllers), templates: self.templates };
        Ok((self.outcome, known.kept(tx.get_database_backend())))
    }

    async fn flush_log(&mut self, tx: &DatabaseTransaction) -> Result<(), DbErr> {
        let mut rows = std::mem::take(&mut self.log);
        if rows.is_empty() {
            return Ok(());
        }
        self.commands.fold_into(&mut rows, self.now_ms);
        for row in rows.iter_mut().filter(|row| row.status == "pending") {
            self.outcome.queued += 1;
            match row.hand(self.flight, self.now_ms) {
                Some(handed) => self.outcome.handed.push(handed),
                None => self.outcome.outbox |= row.ready,
            }
        }
        event::INSERT.run(tx, rows.into_iter().map(event::Row::values).collect()).await.map(drop)
    }

    async fn flush_epochs(&mut self, tx: &DatabaseTransaction) -> Result<(), DbErr> {
        for row in std::mem::take(&mut self.epochs) {
            let columns = [stream_epoch::Column::Epoch, stream_epoch::Column::CreatedAt, stream_epoch::Column::LastSeq];
            let newer = OnConflict::column(stream_epoch::Column::Name).update_columns(columns).to_owned();
            stream_epoch::Entity::insert(row.into_active_model()).on_conflict(newer).exec_without_returning(tx).await?;
        }
        Ok(())
    }

    /// A row of the log about `entity`, complete but for what the caller sets.
    pub(super) fn log_row(&self, kind: event::Kind, event_id: Uuid, subject: String, entity: String) -> event::Row {
        event::Row::new(self.now_ms, kind, event_id, subject, entity)
    }
}

/// The first number that neither a template nor an application has.
async fn next_catalog_id(tx: &DatabaseTransaction) -> Result<i64, DbErr> {
    let template = template::Entity::find().order_by_desc(template::Column::CatalogTemplateId).one(tx).await?;
    let app = app::Entity::find().order_by_desc(app::Column::CatalogTemplateId).one(tx).await?;
    let newest = template.map(|row| row.catalog_template_id).max(app.map(|row| row.catalog_template_id));
    Ok(newest.map_or(1, |id| id + 1))
}
