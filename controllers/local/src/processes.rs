//! One walk over the kernel's processes: who started whom, and what each has used.

use std::{collections::HashMap, fs};

/// Generations of processes that are followed upwards.
const DEPTH: usize = 64;

/// One process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Process {
    pub(super) parent: i32,
    pub(super) group: i32,
    /// Clock ticks between boot and its start.
    pub(super) started: u64,
    /// Clock ticks of CPU of its own.
    pub(super) own: u64,
    /// Clock ticks of CPU of its children, and theirs, that ended and were waited for.
    pub(super) children: u64,
    pub(super) pages: u64,
    /// It only waits to be reaped.
    pub(super) ended: bool,
}

pub(super) type Processes = HashMap<i32, Process>;

/// All of this machine.
pub(super) fn all() -> Processes {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter_map(|pid| Some((pid, read(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)?))).collect()
}

/// A line of `/proc/<pid>/stat`. The name may hold spaces and brackets, so fields count from the last bracket.
fn read(stat: &str) -> Option<Process> {
    let fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().collect::<Vec<_>>();
    let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok(); // the first one here is field 3
    let (parent, group) = (fields.get(1)?.parse().ok()?, fields.get(2)?.parse().ok()?);
    Some(Process {
        parent,
        group,
        started: number(22)?,
        own: number(14)? + number(15)?,
        children: number(16)? + number(17)?,
        pages: number(24)?,
        ended: matches!(*fields.first()?, "Z" | "X"),
    })
}

/// The session that a process belongs to: it is in the group of the session's first process, or descends from it.
pub(super) fn owner(pid: i32, processes: &Processes, session: impl Fn(i32) -> bool) -> Option<i32> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_a_process_with_any_name_is_read() {
        let stat =
            "71 (a) b (c) S 70 69 1 0 -1 4194560 10 0 0 0 120 30 7 8 20 0 1 0 100 4096000 512 18446744073709551615";
        let expected =
            Process { parent: 70, group: 69, started: 100, own: 150, children: 15, pages: 512, ended: false };
        assert_eq!(read(stat), Some(expected));
        assert_eq!(read("garbage"), None);
    }

    #[test]
    fn children_in_another_group_are_counted_with_their_session() {
        let one = |parent, group| Process { parent, group, started: 1, own: 0, children: 0, pages: 0, ended: false };
        let all =
            HashMap::from([(10, one(1, 10)), (11, one(10, 11)), (12, one(11, 11)), (13, one(1, 10)), (14, one(1, 14))]);
        let owners = [10, 11, 12, 13, 14].map(|pid| owner(pid, &all, |pid| pid == 10));
        assert_eq!(owners, [Some(10), Some(10), Some(10), Some(10), None]);
    }
}
