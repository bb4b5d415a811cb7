//! What each session uses, from one walk over the kernel's processes for all of them.
//!
//! A process is a session's where it is in the group of the session's first process, or descends from it. What left the group
//! and lost its parent is not counted, only found when the session ends.

use std::{collections::HashMap, fs};

use rustix::param::{clock_ticks_per_second, page_size};
use streams::wire::Resources;
use tokio::time::Instant;

/// Generations of processes that are followed up to a session.
const DEPTH: usize = 64;
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

/// One process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Process {
    parent: i32,
    group: i32,
    ticks: u64,
    pages: u64,
}

/// Measures CPU between two looks.
#[derive(Debug, Default)]
pub(super) struct Meter {
    last: HashMap<i32, (u64, Instant)>,
}

impl Meter {
    /// What the sessions with these first processes use; a session is in it from its second look on.
    pub(super) fn read(&mut self, sessions: impl Iterator<Item = i32>, now: Instant) -> HashMap<i32, Usage> {
        let mut sums = sessions.map(|pid| (pid, (0, 0))).collect::<HashMap<_, (u64, u64)>>();
        let processes = processes();
        for (pid, process) in &processes {
            if let Some(session) = owner(*pid, &processes, |pid| sums.contains_key(&pid))
                && let Some((ticks, pages)) = sums.get_mut(&session)
            {
                (*ticks, *pages) = (*ticks + process.ticks, *pages + process.pages);
            }
        }
        let last = std::mem::take(&mut self.last);
        self.last = sums.iter().map(|(pid, (ticks, _))| (*pid, (*ticks, now))).collect();
        let usage = |(pid, (ticks, pages)): (i32, (u64, u64))| {
            let (before, then) = last.get(&pid)?;
            let millis = u64::try_from((now - *then).as_millis()).ok().filter(|millis| *millis > 0)?;
            // The time of a process that ended is gone from the sum.
            let millicores = ticks.saturating_sub(*before) * 1_000_000 / clock_ticks_per_second() / millis;
            Some((pid, Usage { millicores, memory: pages * page_size() as u64 }))
        };
        sums.into_iter().filter_map(usage).collect()
    }
}

/// The session that a process belongs to.
fn owner(pid: i32, processes: &HashMap<i32, Process>, session: impl Fn(i32) -> bool) -> Option<i32> {
    let mut pid = pid;
    for _ in 0..DEPTH {
        let process = processes.get(&pid)?;
        if let Some(found) = [pid, process.group].into_iter().find(|id| session(*id)) {
            return Some(found);
        }
        pid = process.parent;
    }
    None
}

fn processes() -> HashMap<i32, Process> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter_map(|pid| Some((pid, process(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)?))).collect()
}

/// A line of `/proc/<pid>/stat`. The name may hold spaces and brackets, so fields count from the last bracket.
fn process(stat: &str) -> Option<Process> {
    let fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().collect::<Vec<_>>();
    let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok(); // the first one here is field 3
    let (parent, group) = (fields.get(1)?.parse().ok()?, fields.get(2)?.parse().ok()?);
    Some(Process { parent, group, ticks: number(14)? + number(15)?, pages: number(24)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_a_process_with_any_name_is_read() {
        let stat =
            "71 (a) b (c) S 70 69 1 0 -1 4194560 10 0 0 0 120 30 0 0 20 0 1 0 100 4096000 512 18446744073709551615";
        assert_eq!(process(stat), Some(Process { parent: 70, group: 69, ticks: 150, pages: 512 }));
        assert_eq!(process("garbage"), None);
    }

    #[test]
    fn children_in_another_group_are_counted_with_their_session() {
        let one = |parent, group| Process { parent, group, ticks: 0, pages: 0 };
        let all =
            HashMap::from([(10, one(1, 10)), (11, one(10, 11)), (12, one(11, 11)), (13, one(1, 10)), (14, one(1, 14))]);
        let owners = [10, 11, 12, 13, 14].map(|pid| owner(pid, &all, |pid| pid == 10));
        assert_eq!(owners, [Some(10), Some(10), Some(10), Some(10), None]);
    }
}
