//! The world between two steps, and what must hold in it.

use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};

use machine::session::{Desired, Session};
use streams::wire::SessionState as S;
use uuid::Uuid;

/// A mistake that someone could make, each of a class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Bug {
    /// A report is applied as if it were of the present generation, and the newest.
    DroppedFence,
    /// The worker acknowledges before it does.
    EarlyAck,
    /// A report is applied as often as it comes.
    ForgottenDedup,
    /// Each publication of an outbox row is a command of its own.
    FreshCommand,
    /// A failure makes its command be sent again, whatever was asked since.
    BlindRetry,
    /// A delete is answered while the resource stays.
    EmptyDelete,
}

/// How often each kind of trouble may still happen, and how many engines there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Budget {
    pub(super) intents: u8,
    pub(super) engine_crashes: u8,
    pub(super) worker_crashes: u8,
    pub(super) failures: u8,
    pub(super) duplicates: u8,
    pub(super) losses: u8,
    /// How often others may take all the room that there is.
    pub(super) crowds: u8,
    /// Engines that publish.
    pub(super) engines: u8,
}

/// The facts of the session, hashable.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Facts(pub(super) Session);

impl Eq for Facts {}

impl Hash for Facts {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        let s = &self.0;
        (s.status as u8, s.desired, s.command.generation, &s.command.controller_id, s.command.id, &s.command.verb)
            .hash(hasher);
        (
            s.command.attempt,
            s.command.starts,
            s.command.starter,
            s.command.next_attempt_ms,
            s.command.deadline_ms,
            &s.command.reason,
        )
            .hash(hasher);
        (
            s.command.seen_generation,
            s.command.seen_epoch,
            s.command.seen_seq,
            s.command.failures.len(),
            s.debt,
            s.has_room,
        )
            .hash(hasher);
    }
}

/// A command's row in the outbox.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Entry {
    pub(super) goal: Desired,
    pub(super) generation: i64,
    pub(super) attempt: i32,
    pub(super) pending: bool,
    pub(super) ended: bool,
    /// The epoch of the stream that acknowledged it.
    pub(super) epoch: i64,
}

/// A command on its way.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Order {
    pub(super) id: Uuid,
    pub(super) goal: u8,
    pub(super) generation: i64,
    pub(super) attempt: i32,
    pub(super) to: usize,
}

/// A report in its stream.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Said {
    pub(super) id: u32,
    pub(super) seq: i64,
    pub(super) by: usize,
    pub(super) status: u8,
    pub(super) generation: i64,
    /// The command that it answers, and its attempt.
    pub(super) answers: Option<(Uuid, i32)>,
    pub(super) failed: bool,
}

/// What runs, or sleeps, in a controller's world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Resource {
    pub(super) generation: i64,
    pub(super) running: bool,
}

/// What one of two active replicas remembers and does.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Replica {
    pub(super) seen: Option<(i64, bool)>,
    pub(super) doing: Option<Order>,
}

/// All of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct State {
    pub(super) budget: Budget,
    pub(super) row: Facts,
    pub(super) outbox: BTreeMap<Uuid, Entry>,
    /// What each of two engines has claimed and not published yet.
    pub(super) claimed: [Option<Order>; 2],
    pub(super) epoch: i64,
    pub(super) seq: i64,
    pub(super) fresh: u32,
    pub(super) commands: Vec<Order>,
    pub(super) reports: Vec<Said>,
    /// Reports that were applied, by their ids.
    pub(super) known: Vec<u32>,
    pub(super) replicas: [[Replica; 2]; 2],
    pub(super) worlds: [Option<Resource>; 2],
    /// Others have all the room.
    pub(super) full: bool,
    /// The newest generation that a driver made true.
    pub(super) made: i64,
    /// The first promise that a step broke.
    pub(super) broken: Option<&'static str>,
}

/// The goal of a delete, as a number.
pub(super) const ABSENT_DELETE: u8 = 2;

pub(super) fn goal(desired: Desired) -> u8 {
    match desired {
        Desired::Running => 0,
        Desired::Hibernated => 1,
        Desired::Deleted => ABSENT_DELETE,
    }
}

pub(super) fn status(goal: u8) -> S {
    [S::Running, S::Hibernated, S::Deleted][usize::from(goal)]
}

impl State {
    /// States that differ only in names, or in what nobody can look at any more, are one.
    pub(super) fn settle_names(&mut self) {
        self.claimed.sort();
        self.replicas.iter_mut().for_each(|pair| pair.sort());
        let Self { outbox, commands, claimed, replicas, reports, known, .. } = self;
        known.retain(|id| reports.iter().any(|said| said.id == *id));
        let doing = replicas.iter().flatten().filter_map(|replica| replica.doing.as_ref());
        let orders = commands.iter().chain(claimed.iter().flatten()).chain(doing).map(|order| order.id);
        let answered = reports.iter().filter_map(|said| said.answers).map(|(id, _)| id);
        let named: Vec<Uuid> = orders.chain(answered).collect();
        outbox.retain(|id, entry| !entry.ended || entry.pending || named.contains(id));
    }

    /// The first promise that does not hold here.
    pub(super) fn broken(&self) -> Option<&'static str> {
        self.broken.or_else(|| self.contradiction()).or_else(|| self.unsettled())
    }

    fn contradiction(&self) -> Option<&'static str> {
        let s = &self.row.0;
        let open: Vec<_> = self.outbox.iter().filter(|(_, entry)| !entry.ended).map(|(id, _)| *id).collect();
        let visible =
            s.command.deadline_ms.is_some() || s.command.next_attempt_ms.is_some() || s.command.reason.is_some();
        let on_the_way = self.commands.iter().all(|order| self.outbox.contains_key(&order.id));
        let deleted = s.desired == Desired::Deleted;
        let starts =
            s.desired == Desired::Running && (s.command.deadline_ms.is_some() || s.command.next_attempt_ms.is_some());
        let rules = [
            (open == s.command.id.into_iter().collect::<Vec<_>>(), "the open command is the session's own"),
            (s.command.id.is_none() || visible, "an open command shows what it waits for"),
            (s.status != S::Deleted || deleted, "deleted is shown where it is desired"),
            (!deleted || matches!(s.status, S::Deleting | S::Deleted | S::Failed), "what is to go is never alive"),
            (self.running() <= 1, "never two instances"),
            (self.outbox.values().all(|entry| !(entry.ended && entry.pending)), "what ended stays ended"),
            (!starts || s.has_room, "nothing is started without room"),
            (!s.has_room || s.command.controller_id.is_some(), "room is held on an owner"),
            (on_the_way, "what is on its way is a row of the outbox"),
            (
                s.command.failures.iter().all(|past| past.error.code != "no_report"),
                "a crash is not blamed on an attempt",
            ),
        ];
        rules.into_iter().find(|(holds, _)| !holds).map(|(_, rule)| rule)
    }

    fn running(&self) -> usize {
        self.worlds.iter().flatten().filter(|resource| resource.running).count()
    }

    /// Where nothing moves any more, what is desired holds.
    fn unsettled(&self) -> Option<&'static str> {
        if !self.quiet() {
            return None;
        }
        let s = &self.row.0;
        let exists = self.worlds.iter().flatten().next();
        let alone = self.worlds.iter().flatten().count() <= 1;
        let holds = alone
            && match s.desired {
                Desired::Running => exists.is_some_and(|resource| resource.running),
                Desired::Hibernated => exists.is_some_and(|resource| !resource.running),
                Desired::Deleted => exists.is_none(),
            };
        match (s.command.id.is_none(), s.status == S::Failed, holds && s.status == s.desired.goal()) {
            (false, ..) => Some("every command ends"),
            (true, false, false) => Some("the newest intent holds in the end"),
            _ => None,
        }
    }
}
