//! The engine's side: one transaction of the writer, and the relay.

use machine::placement::Place;
use machine::room::Room;
use machine::session::{Decision, Effect, Event, Observation, Source, create, decide};
use machine::{Context, Lane};
use streams::subject::Verb;
use streams::wire::{Failure, SessionState as S};
use uuid::Uuid;

use super::state::{Budget, Bug, Entry, Facts, Order, Said, State, goal, status};
use crate::world::{at, id};

/// Timers are steps: whatever is due is due by then.
const DUE: i64 = 10_000_000;
pub(super) const OWNERS: [&str; 2] = ["host-1", "host-2"];

pub(super) fn place(owner: usize) -> Place {
    Place::Chosen { controller_id: OWNERS[owner].into(), lane: Lane::Durable, why: String::new() }
}

impl State {
    /// A session that was accepted and waits for a place.
    pub(super) fn start(budget: Budget) -> Self {
        let decision = create(id(1), &Place::Wait("full".into()), None, None, &at(0, 100));
        let mut state = Self {
            budget,
            row: Facts(decision.session.clone()),
            outbox: std::collections::BTreeMap::new(),
            claimed: [None, None],
            epoch: 1,
            seq: 0,
            fresh: 100,
            commands: Vec::new(),
            reports: Vec::new(),
            known: Vec::new(),
            replicas: Default::default(),
            worlds: [None, None],
            full: false,
            made: 0,
            broken: None,
        };
        state.commit(decision);
        state
    }

    /// One event in one transaction; what is illegal changes nothing.
    pub(super) fn happened(&mut self, event: &Event) {
        let now_ms = if matches!(event, Event::Tick | Event::Deadline { .. }) { DUE } else { 0 };
        let room = Some(Room { held: u32::from(self.full), max: Some(1) });
        let context = Context { now_ms, room, ..at(0, u128::from(self.fresh) + 1) };
        if let Ok(decision) = decide(&self.row.0, event, &context) {
            self.commit(decision);
        }
    }

    fn commit(&mut self, Decision { mut session, effects }: Decision) {
        let before = &self.row.0;
        let fence =
            |s: &machine::session::Session| (s.command.seen_generation, s.command.seen_epoch, s.command.seen_seq);
        if fence(&session) < fence(before) || session.command.generation < before.command.generation {
            self.broken = Some("the fence never goes back");
        }
        for effect in &effects {
            self.effect(effect, &session);
        }
        // Time is a step here, so how late it is must not tell states apart.
        session.command.deadline_ms = session.command.deadline_ms.map(|_| 1);
        session.command.next_attempt_ms = session.command.next_attempt_ms.map(|_| 1);
        session.command.failures.iter_mut().for_each(|past| past.at_ms = 0);
        session.run_ms = session.run_ms.map(|_| 0);
        (session.last_activity_ms, session.connections, session.connected_ms) = (0, None, None);
        self.row = Facts(session);
    }

    fn effect(&mut self, effect: &Effect, after: &machine::session::Session) {
        match effect {
            Effect::Send { event_id, ready, verb, .. } => {
                self.fresh += 1;
                debug_assert_eq!(*verb == Verb::SessionDelete, goal(after.desired) == 2);
                let (goal, generation, attempt) = (after.desired, after.command.generation, after.command.attempt);
                let entry = Entry { goal, generation, attempt, pending: *ready, ended: false, epoch: 0 };
                self.outbox.insert(*event_id, entry);
            }
            Effect::Redrive { event_id } => {
                if let Some(entry) = self.outbox.get_mut(event_id) {
                    (entry.pending, entry.attempt) = (true, after.command.attempt);
                }
            }
            Effect::Complete { event_id, superseded } => {
                self.end(*event_id);
                if !superseded && self.made < after.command.generation {
                    self.broken = Some("done means that it was done");
                }
            }
            Effect::Fail { event_id, .. } => self.end(*event_id),
            Effect::Retried | Effect::Started { .. } | Effect::Decide(_) | Effect::Warn(_) | Effect::Superseded => {}
        }
    }

    fn end(&mut self, event_id: Uuid) {
        match self.outbox.get_mut(&event_id) {
            Some(entry) if !entry.ended => (entry.pending, entry.ended) = (false, true),
            _ => self.broken = Some("a command ends once"),
        }
    }

    /// The order of a row that waits to be published; a claim is no lock, a slow engine may still hold an older one.
    pub(super) fn claimable(&self) -> Option<Order> {
        let (event_id, entry) = self.outbox.iter().find(|(_, entry)| entry.pending)?;
        let to = OWNERS.iter().position(|owner| self.row.0.command.controller_id.as_deref() == Some(owner))?;
        let (goal, generation, attempt) = (goal(entry.goal), entry.generation, entry.attempt);
        Some(Order { id: *event_id, goal, generation, attempt, to })
    }

    /// JetStream has it; `noted`: the engine lived to write that down.
    pub(super) fn publish(&mut self, engine: usize, noted: bool, bug: Option<Bug>) {
        let Some(mut order) = self.claimed[engine].take() else { return };
        let epoch = self.epoch;
        if let Some(entry) = self.outbox.get_mut(&order.id).filter(|entry| noted && entry.attempt == order.attempt) {
            (entry.pending, entry.epoch) = (false, epoch);
        }
        if bug == Some(Bug::FreshCommand) {
            order.id = id(9_000 + order.id.as_u128());
        }
        self.commands.push(order);
        self.commands.sort();
    }

    /// A report is applied, once for its id.
    pub(super) fn apply(&mut self, said: &Said, bug: Option<Bug>) {
        if self.known.contains(&said.id) {
            if bug != Some(Bug::ForgottenDedup) {
                return;
            }
            self.broken = Some("a report counts once");
        }
        self.known.push(said.id);
        self.known.sort_unstable();
        let blind = bug == Some(Bug::BlindRetry) && said.failed;
        if let Some((event_id, _)) = said.answers.filter(|_| blind) {
            let generation = self.row.0.command.generation;
            if let Some(entry) = self.outbox.get_mut(&event_id).filter(|entry| entry.generation < generation) {
                (entry.pending, entry.generation) = (true, generation);
            }
        }
        let observation = self.observation(said, bug);
        self.happened(&Event::Report(Box::new(observation)));
    }

    fn observation(&self, said: &Said, bug: Option<Bug>) -> Observation {
        let unfenced = bug == Some(Bug::DroppedFence);
        let failure =
            || Failure { code: "boom".into(), message: "boom".into(), retryable: true, user_error: false, scope: None };
        Observation {
            controller_id: OWNERS[said.by].into(),
            lane: Lane::Durable,
            source: Source {
                epoch: self.epoch,
                seq: if unfenced { self.row.0.command.seen_seq + 1 } else { said.seq },
            },
            status: if said.failed { S::Failed } else { status(said.status) },
            generation: Some(if unfenced { self.row.0.command.generation } else { said.generation }),
            causation_id: said.answers.map(|(event_id, _)| event_id),
            attempt: said.answers.map(|(_, attempt)| attempt),
            instance_id: None,
            error: said.failed.then(failure),
            url: None,
            pod_name: None,
            phase: None,
            message: None,
            connections: None,
            in_use: false,
        }
    }
}
