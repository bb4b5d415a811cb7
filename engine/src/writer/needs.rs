//! What a batch must read and lock before it can decide.

use std::collections::BTreeMap;

use streams::wire::SessionState;
use uuid::Uuid;

use super::batch::Slot;
use super::records::Records;
use super::work::{Commanded, Item, JobWrite, Replay, TemplateWrite, Work};
use super::{Job, admission, application, rebuild, repair};
use crate::entities::{Kind, Noun as _, controller, nouns};

#[derive(Default)]
pub(crate) struct Needs {
    pub(crate) sessions: Vec<Uuid>,
    pub(super) applications: application::Needs,
    pub(crate) templates: Vec<String>,
    /// Reports that may have been applied before.
    pub(super) reports: Vec<Uuid>,
    pub(crate) letters: Vec<Uuid>,
    pub(crate) jobs: Vec<Uuid>,
    pub(crate) debts: Vec<Uuid>,
    /// Entities whose logs are folded again.
    pub(super) logs: Vec<String>,
    /// Controllers whose own rows are meant.
    pub(crate) controllers: Vec<String>,
    /// Controllers that are to be removed.
    pub(super) removes: Vec<String>,
    /// Sessions and applications whose owners' rows may change with them.
    pub(super) judged: Vec<Uuid>,
    /// Sessions that are said to run: their templates may be news to their owners.
    pub(super) succeeded: Vec<Uuid>,
    /// All controllers, where the last transaction knew them and still does.
    pub(super) known_controllers: Option<BTreeMap<String, Slot<controller::Model>>>,
    /// The next number of the catalog is needed.
    pub(super) catalog: bool,
}

impl Needs {
    pub(super) fn of(jobs: &[Job]) -> Self {
        let mut needs = Self::default();
        jobs.iter().for_each(|job| needs.add(&job.work));
        needs.sessions.sort_unstable();
        needs.sessions.dedup();
        needs.templates.sort_unstable();
        needs.templates.dedup();
        needs
    }

    /// One application.
    pub(crate) fn application(&mut self, id: Uuid) {
        self.applications.one(id);
    }

    fn add(&mut self, work: &Work) {
        match work {
            Work::If { then, .. } => self.add(then),
            Work::Create(new) => self.templates.push(new.template_id.clone()),
            Work::Ask(id, _) | Work::Amend(id, _) | Work::Place(id) => self.sessions.push(*id),
            Work::Happened(id, _) => {
                self.sessions.push(*id);
                self.judged.push(*id);
            }
            Work::AttemptFailed(lost) => match lost.of {
                Commanded::Session(id) => self.sessions.push(id),
                Commanded::Application(id) => self.applications.one(id),
                Commanded::Debt(id) => self.debts.push(id),
            },
            Work::Debt(id, _) => {
                self.debts.push(*id);
                self.judged.push(*id);
            }
            Work::Revoke(revocation) => {
                self.controllers.push(revocation.controller_id.clone());
                self.jobs.push(revocation.job.job_id);
            }
            Work::Reinstate(asked) => self.controllers.push(asked.controller_id.clone()),
            Work::Operate(asked) => {
                self.controllers.push(asked.controller_id.clone());
                self.removes.extend(admission::removes(work).map(str::to_owned));
            }
            Work::Heartbeat(beat) => self.controllers.push(beat.heartbeat.controller_id.clone()),
            Work::Controller(event) => self.controllers.push(event.controller_id.clone()),
            Work::Synced(synced) => self.controllers.push(synced.controller_id.clone()),
            Work::Report(report) => {
                let seen = &report.observation;
                self.judged.extend(seen.error.is_some().then_some(report.session_id));
                self.succeeded.extend((seen.status == SessionState::Running).then_some(report.session_id));
                self.sessions.push(report.session_id);
                self.reports.push(report.event_id);
            }
            Work::Application(work) => {
                self.catalog = true;
                self.judged.extend(work.judges());
                self.reports.extend(self.applications.add(work));
            }
            Work::Template(TemplateWrite::Put { manifests, .. }) => {
                self.catalog = true;
                self.templates.extend(manifests.iter().map(|manifest| manifest.metadata.name.clone()));
            }
            Work::Template(TemplateWrite::Delete { name }) => self.templates.push(name.clone()),
            Work::Replay(asked) => self.replay(asked.letter, &asked.how),
            Work::TryReplay(asked) => self.replay(asked.letter, &asked.how),
            Work::Discard(asked) => self.letters.push(asked.letter),
            Work::Edit(asked) => self.letters.push(asked.letter),
            Work::Job(write) => self.job(write),
            Work::PruneRecords(Records::DeadLetters(ids)) => self.letters.extend(ids),
            Work::PruneRecords(Records::Jobs(ids)) => self.jobs.extend(ids),
            Work::Rebuild(_) => self.logs.push(rebuild::ENTITY.to_owned()),
            _ => {}
        }
    }

    /// The row of an entity, and its log.
    fn repair(&mut self, entity: &str) {
        let (Some(kind), Some((_, key))) = (Kind::of(entity), entity.split_once(':')) else { return };
        self.logs.push(entity.to_owned());
        nouns!(of_kind(kind, N, key.parse().into_iter().for_each(|key| N::need(self, key))));
    }

    fn replay(&mut self, letter: Uuid, how: &Replay) {
        self.letters.push(letter);
        match how {
            Replay::Ask { of: Commanded::Session(id), .. } => self.sessions.push(*id),
            Replay::Ask { of: Commanded::Application(id), .. } => self.applications.one(*id),
            Replay::Ask { of: Commanded::Debt(id), .. } => self.debts.push(*id),
            Replay::Sent { .. } => {}
        }
    }

    fn job(&mut self, write: &JobWrite) {
        self.jobs.push(match write {
            JobWrite::Create(row) => row.job_id,
            JobWrite::Step(step) => step.id,
            JobWrite::Scanned(step) => step.id,
            JobWrite::Judge(judged) => judged.id,
            JobWrite::Claim { id, .. }
            | JobWrite::Release { id, .. }
            | JobWrite::Cancel { id, .. }
            | JobWrite::Resume { id, .. } => *id,
        });
        if let JobWrite::Scanned(step) = write {
            repair::mendable(step).for_each(|entity| self.repair(entity));
        }
        let JobWrite::Step(step) = write else { return };
        for item in &step.items {
            match item {
                Item::Session(id, _) => self.sessions.push(*id),
                Item::Letter(id, how) => self.replay(*id, how),
                Item::Discard(id, _) => self.letters.push(*id),
                Item::Refused(_) => {}
            }
        }
    }
}
