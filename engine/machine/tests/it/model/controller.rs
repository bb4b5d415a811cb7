//! The controller's side: a worker as `controllers/src/runtime/handler.rs` has it, over a world as its `noop` driver has one.

use super::state::{ABSENT_DELETE, Bug, Order, Resource, Said, State};

/// How a piece of work ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// Done, reported, acknowledged.
    Well,
    /// Failed, reported, acknowledged.
    Badly,
    /// The process died before it did anything.
    DiedBefore,
    /// It died when the world had changed and nobody knew.
    DiedUnsaid,
    /// It died between its report and its acknowledgement.
    DiedUnacknowledged,
}

impl State {
    /// A replica takes an order: what it knows to be stale is answered with the world.
    pub(super) fn begin(&mut self, at: usize, replica: usize, bug: Option<Bug>) {
        let order = self.commands[at].clone();
        let stale = self.replicas[order.to][replica].seen.filter(|(seen, _)| *seen > order.generation);
        let answer = match (stale, self.worlds[order.to]) {
            (Some(_), Some(resource)) => Some((u8::from(!resource.running), resource.generation)),
            (Some((seen, true)), None) => Some((ABSENT_DELETE, seen)),
            _ => None,
        };
        if let Some((status, generation)) = answer {
            self.say(&order, status, generation, false);
            self.commands.remove(at);
            return;
        }
        if bug == Some(Bug::EarlyAck) {
            self.commands.remove(at);
        }
        let owner = order.to;
        self.replicas[owner][replica].doing = Some(order);
    }

    pub(super) fn finish(&mut self, owner: usize, replica: usize, end: End, bug: Option<Bug>) {
        let Some(order) = self.replicas[owner][replica].doing.take() else { return };
        match end {
            End::Well | End::DiedUnsaid | End::DiedUnacknowledged => {
                let (status, generation) = self.ensure(&order, bug);
                self.replicas[owner][replica].seen = Some((generation, status == ABSENT_DELETE));
                if end != End::DiedUnsaid {
                    self.say(&order, status, generation, false);
                }
            }
            End::Badly => self.say(&order, order.goal, order.generation, true),
            End::DiedBefore => {}
        }
        match end {
            End::Well | End::Badly => self.acknowledge(&order),
            _ => self.replicas[owner][replica].seen = None, // the next run remembers nothing
        }
    }

    fn acknowledge(&mut self, order: &Order) {
        if let Some(at) = self.commands.iter().position(|held| held == order) {
            self.commands.remove(at);
        }
    }

    /// Makes the world match, unless it is newer; says what is, and of which generation.
    fn ensure(&mut self, order: &Order, bug: Option<Bug>) -> (u8, i64) {
        let world = &mut self.worlds[order.to];
        if let Some(newer) = world.filter(|resource| resource.generation > order.generation) {
            return (u8::from(!newer.running), newer.generation);
        }
        if order.goal == ABSENT_DELETE {
            if bug == Some(Bug::EmptyDelete) && world.is_some() {
                return (ABSENT_DELETE, order.generation);
            }
            *world = None;
        } else {
            *world = Some(Resource { generation: order.generation, running: order.goal == 0 });
        }
        self.made = self.made.max(order.generation);
        (order.goal, order.generation)
    }

    fn say(&mut self, order: &Order, status: u8, generation: i64, failed: bool) {
        let (id, answers) = (self.fresh_report(), Some((order.id, order.attempt)));
        self.store(Said { id, seq: 0, by: order.to, status, generation, answers, failed });
    }

    /// A controller tells what exists in its world.
    pub(super) fn tell(&mut self, owner: usize) {
        if let Some(Resource { generation, running }) = self.worlds[owner] {
            let id = self.fresh_report();
            let status = u8::from(!running);
            self.store(Said { id, seq: 0, by: owner, status, generation, answers: None, failed: false });
        }
    }

    fn fresh_report(&self) -> u32 {
        u32::try_from(self.epoch * 1_000 + self.seq).unwrap_or(u32::MAX)
    }

    /// The stream takes a report, and gives it its place in the order.
    pub(super) fn store(&mut self, said: Said) {
        self.seq += 1;
        self.reports.push(Said { seq: self.seq, ..said });
    }
}
