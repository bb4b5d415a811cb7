//! What may happen next, and what it does.

use machine::placement::Place;
use machine::session::Event;

use super::controller::End;
use super::engine::{OWNERS, place};
use super::state::{Bug, State};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ask {
    Hibernate,
    Wake,
    Delete,
}

/// One step of anyone. Reports are taken in any order; either engine may do anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Ask(Ask),
    Place(usize),
    Claim(usize),
    Publish {
        engine: usize,
        noted: bool,
    },
    Begin {
        command: usize,
        replica: usize,
    },
    Finish {
        owner: usize,
        replica: usize,
        end: End,
    },
    Report {
        at: usize,
        acknowledged: bool,
    },
    /// The stream gets a report twice, as two messages.
    Twice(usize),
    Retry,
    Silence,
    /// Others take all the room.
    Crowd,
    /// They leave.
    Leave,
    /// Placement looks at what waits for its owner.
    OwnerReady,
    /// JetStream's store is lost.
    LoseStore,
    /// The engine finds that a row was published in an older store.
    Lost,
    /// A controller tells its world.
    Tell(usize),
}

impl State {
    /// Everything that can happen: what must, sooner or later, and trouble within the budget.
    pub(super) fn steps(&self) -> Vec<Step> {
        let mut steps = self.work();
        self.trouble(&mut steps);
        steps
    }

    /// Nothing must happen any more, and no controller has anything to tell that the engine does not know.
    pub(super) fn quiet(&self) -> bool {
        self.work().is_empty()
    }

    fn work(&self) -> Vec<Step> {
        let mut steps = Vec::new();
        let s = &self.row.0;
        if s.command.controller_id.is_none() && s.command.id.is_some() && !self.full {
            steps.push(Step::Place(0));
        }
        steps.extend(self.full.then_some(Step::Leave));
        if s.awaits_room() && s.command.controller_id.is_some() && !self.full {
            steps.push(Step::OwnerReady);
        }
        for engine in 0..usize::from(self.budget.engines) {
            match &self.claimed[engine] {
                Some(_) => steps.push(Step::Publish { engine, noted: true }),
                None if self.claimable().is_some() => steps.push(Step::Claim(engine)),
                None => {}
            }
        }
        self.deliveries(&mut steps);
        steps.extend((0..self.reports.len()).map(|at| Step::Report { at, acknowledged: true }));
        if s.command.next_attempt_ms.is_some() {
            steps.push(Step::Retry);
        }
        if self.forgotten() {
            steps.push(Step::Lost);
        }
        if steps.is_empty() && s.command.deadline_ms.is_some() {
            steps.push(Step::Silence);
        }
        if steps.is_empty() {
            // The world is told again and again; here, where the log and a world differ.
            steps.extend((0..2).filter(|owner| self.differs(*owner)).map(Step::Tell));
        }
        steps
    }

    /// A world has what the log says it must not have.
    fn differs(&self, owner: usize) -> bool {
        let desired = self.row.0.desired;
        let mine = self.row.0.command.controller_id.as_deref() == Some(OWNERS[owner]);
        self.worlds[owner].is_some_and(|resource| !mine || super::state::goal(desired) != u8::from(!resource.running))
            && self.row.0.command.id.is_none()
            && self.row.0.status == desired.goal()
    }

    fn deliveries(&self, steps: &mut Vec<Step>) {
        for (command, order) in self.commands.iter().enumerate() {
            let held = self.replicas[order.to].iter().any(|replica| replica.doing.as_ref() == Some(order));
            let idle = (0..2).filter(|replica| self.replicas[order.to][*replica].doing.is_none());
            steps.extend(idle.filter(|_| !held).map(|replica| Step::Begin { command, replica }));
        }
        for (owner, replica) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
            if self.replicas[owner][replica].doing.is_some() {
                steps.push(Step::Finish { owner, replica, end: End::Well });
            }
        }
    }

    /// The open command was given to a store that is gone.
    fn forgotten(&self) -> bool {
        let entry = self.row.0.command.id.and_then(|id| self.outbox.get(&id));
        entry.is_some_and(|entry| !entry.pending && entry.epoch > 0 && entry.epoch < self.epoch)
            && self.row.0.command.deadline_ms.is_some()
    }

    fn trouble(&self, steps: &mut Vec<Step>) {
        let budget = &self.budget;
        if budget.intents > 0 {
            steps.extend([Ask::Hibernate, Ask::Wake, Ask::Delete].map(Step::Ask));
        }
        if budget.engine_crashes > 0 {
            // the other engine chose otherwise, at the same time or late
            steps.extend((!self.full).then_some(Step::Place(1)));
            let busy = (0..2).filter(|engine| self.claimed[*engine].is_some());
            steps.extend(busy.map(|engine| Step::Publish { engine, noted: false }));
        }
        for (owner, replica) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
            if self.replicas[owner][replica].doing.is_none() {
                continue;
            }
            if budget.worker_crashes > 0 {
                let ends = [End::DiedBefore, End::DiedUnsaid, End::DiedUnacknowledged];
                steps.extend(ends.map(|end| Step::Finish { owner, replica, end }));
            }
            if budget.failures > 0 {
                steps.push(Step::Finish { owner, replica, end: End::Badly });
            }
        }
        if budget.duplicates > 0 {
            steps.extend((0..self.reports.len()).map(|at| Step::Report { at, acknowledged: false }));
            steps.extend((0..self.reports.len()).map(Step::Twice));
        }
        if budget.crowds > 0 && !self.full {
            steps.push(Step::Crowd);
        }
        if budget.losses > 0 {
            steps.push(Step::LoseStore);
        }
    }

    /// The state after a step.
    pub(super) fn after(&self, step: Step, bug: Option<Bug>) -> Self {
        let mut next = self.clone();
        next.take(step, bug);
        next.settle_names();
        next
    }

    fn take(&mut self, step: Step, bug: Option<Bug>) {
        match step {
            Step::Ask(ask) => self.ask(ask),
            Step::Place(owner) => {
                self.budget.engine_crashes -= u8::from(owner == 1);
                self.happened(&Event::Placed(place(owner)));
            }
            Step::Claim(engine) => self.claimed[engine] = self.claimable(),
            Step::Publish { engine, noted } => {
                self.budget.engine_crashes -= u8::from(!noted);
                self.publish(engine, noted, bug);
            }
            Step::Begin { command, replica } => self.begin(command, replica, bug),
            Step::Finish { owner, replica, end } => {
                self.budget.failures -= u8::from(end == End::Badly);
                self.budget.worker_crashes -= u8::from(!matches!(end, End::Well | End::Badly));
                self.finish(owner, replica, end, bug);
            }
            Step::Report { at, acknowledged } => {
                self.budget.duplicates -= u8::from(!acknowledged);
                let said = self.reports[at].clone();
                if acknowledged {
                    self.reports.remove(at);
                }
                self.apply(&said, bug);
            }
            Step::Twice(at) => {
                self.budget.duplicates -= 1;
                self.store(self.reports[at].clone());
            }
            Step::Retry => self.happened(&Event::Tick),
            Step::Silence => self.happened(&Event::Deadline { held: false }),
            Step::Crowd => {
                self.budget.crowds -= 1;
                self.full = true;
            }
            Step::Leave => self.full = false,
            Step::OwnerReady => self.happened(&Event::OwnerReady),
            Step::LoseStore => self.lose_store(),
            Step::Lost => self.happened(&Event::Lost),
            Step::Tell(owner) => self.tell(owner),
        }
    }

    fn ask(&mut self, ask: Ask) {
        self.budget.intents -= 1;
        let event = match ask {
            Ask::Hibernate => Event::Hibernate,
            Ask::Wake if self.full => Event::Wake(Place::Wait("full".into())),
            Ask::Wake => Event::Wake(place(0)),
            Ask::Delete => Event::Delete { force: false },
        };
        self.happened(&event);
    }

    /// Whatever was stored is gone; controllers tell their worlds to the new one.
    fn lose_store(&mut self) {
        self.budget.losses -= 1;
        self.commands.clear();
        self.reports.clear();
        self.known.clear();
        (self.epoch, self.seq) = (self.epoch + 1, 0);
        (0..2).for_each(|owner| self.tell(owner));
    }
}
