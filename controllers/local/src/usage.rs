//! What each session uses, from one walk over the kernel's processes for all of them.
//!
//! A process is a session's where it is in the group of the session's first process, or descends from it. CPU of children
//! that ended is counted too: a build is made of processes that live shorter than a look at them. What left the group, lost
//! its parent and ended between two looks is not seen.

use std::collections::{HashMap, HashSet};

use rustix::param::{clock_ticks_per_second, page_size};
use streams::wire::Resources;
use tokio::time::Instant;

use super::processes::{self, Process, Processes};

/// Changes below these are not worth a report: thousandths of a core, and bytes.
const SOME_CPU: u64 = 50;
const SOME_MEMORY: u64 = 16 << 20;

/// What a session uses now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Usage {
    pub(super) millicores: u64,
    pub(super) memory: u64,
}

impl Usage {
    /// As it is reported.
    pub(super) fn shown(self) -> Resources {
        let memory = Some(format!("{}Mi", self.memory >> 20));
        Resources { memory, cpu: Some(format!("{}m", self.millicores)) }
    }

    /// By a quarter, and by more than a little.
    pub(super) const fn differs(self, other: Self) -> bool {
        const fn far(one: u64, other: u64, least: u64) -> bool {
            let (apart, most) = (one.abs_diff(other), if one > other { one } else { other });
            apart >= least && apart * 4 >= most
        }
        far(self.millicores, other.millicores, SOME_CPU) || far(self.memory, other.memory, SOME_MEMORY)
    }
}

/// One look: every process of a session, by its pid, with the session's first one.
type Look = HashMap<i32, (i32, Process)>;

/// Measures CPU between two looks.
#[derive(Debug, Default)]
pub(super) struct Meter {
    last: Look,
    sessions: HashSet<i32>,
    at: Option<Instant>,
}

impl Meter {
    /// What the sessions with these first processes use; a session is in it from its second look on.
    pub(super) fn read(&mut self, sessions: impl Iterator<Item = i32>, now: Instant) -> HashMap<i32, Usage> {
        self.compare(sessions.collect(), &processes::all(), now)
    }

    fn compare(&mut self, sessions: HashSet<i32>, all: &Processes, now: Instant) -> HashMap<i32, Usage> {
        let belongs = |(pid, process): (&i32, &Process)| {
            processes::owner(*pid, all, |pid| sessions.contains(&pid)).map(|session| (*pid, (session, *process)))
        };
        let look = all.iter().filter_map(belongs).collect::<Look>();
        let used = used(&self.last, &look);
        let millis = self.at.and_then(|then| u64::try_from((now - then).as_millis()).ok()).filter(|millis| *millis > 0);
        let mut pages = HashMap::<i32, u64>::new();
        look.values().for_each(|(session, process)| *pages.entry(*session).or_default() += process.pages);
        let usage = |session: &i32| {
            let ticks = used.get(session).copied().unwrap_or(0);
            let millicores = ticks * 1_000_000 / clock_ticks_per_second() / millis?;
            let memory = pages.get(session).copied().unwrap_or(0) * page_size() as u64;
            Some((*session, Usage { millicores, memory }))
        };
        let usages = sessions.iter().filter(|session| self.sessions.contains(*session)).filter_map(usage).collect();
        (self.last, self.sessions, self.at) = (look, sessions, Some(now));
        usages
    }
}

/// Ticks of CPU between two looks, by session.
///
/// When a process is waited for, all that it ever used moves to its parent's account for children. What was counted there
/// before is taken off again, but never more than the account grew by: a parent need not wait.
fn used(before: &Look, after: &Look) -> HashMap<i32, u64> {
    let same =
        |pid: &i32, process: &Process| before.get(pid).map(|(_, old)| old).filter(|old| old.started == process.started);
    let mut counted_before = HashMap::<i32, u64>::new();
    for (pid, (_, gone)) in before {
        if after.get(pid).is_none_or(|(_, now)| now.started != gone.started) {
            *counted_before.entry(gone.parent).or_default() += gone.own + gone.children;
        }
    }
    let mut sums = HashMap::new();
    for (pid, (session, now)) in after {
        let (own, children) = same(pid, now).map_or((0, 0), |old| (old.own, old.children));
        let inherited = now.children.saturating_sub(children);
        let inherited = inherited.saturating_sub(counted_before.get(pid).copied().unwrap_or(0));
        *sums.entry(*session).or_default() += now.own.saturating_sub(own) + inherited;
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn process(parent: i32, own: u64, children: u64) -> (i32, Process) {
        (10, Process { parent, group: 10, started: 5, own, children, pages: 0, ended: false })
    }

    #[test]
    fn children_that_ended_between_two_looks_are_counted() {
        let before = Look::from([(10, process(1, 4, 100))]);
        let after = Look::from([(10, process(1, 5, 700))]);
        assert_eq!(used(&before, &after), HashMap::from([(10, 601)]));
    }

    #[test]
    fn a_child_is_not_counted_twice_when_it_ends() {
        let before = Look::from([(10, process(1, 0, 0)), (11, process(10, 50, 0))]);
        let after = Look::from([(10, process(1, 0, 60))]);
        assert_eq!(used(&before, &after), HashMap::from([(10, 10)]));
        let not_waited_for = Look::from([(10, process(1, 7, 0))]);
        assert_eq!(used(&before, &not_waited_for), HashMap::from([(10, 7)]));
    }

    #[test]
    fn a_session_is_measured_from_its_second_look_on() {
        let (mut meter, start) = (Meter::default(), Instant::now());
        let all = |own| HashMap::from([(10, process(1, own, 0).1)]);
        assert!(meter.compare(HashSet::from([10]), &all(0), start).is_empty());
        let second = start + std::time::Duration::from_secs(1);
        let usage = meter.compare(HashSet::from([10]), &all(clock_ticks_per_second()), second);
        assert_eq!(usage.get(&10).map(|usage| usage.millicores), Some(1000));
    }
}
