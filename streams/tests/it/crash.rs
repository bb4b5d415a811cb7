//! A crash point kills the process that it is set for, once.

use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Command, ExitStatus};

use streams::crash::{Moment, STEPS, point};

/// Run by the other tests as a process of its own. Run alone it passes, because no point is set.
#[test]
fn victim() {
    for step in STEPS {
        Moment::ALL.into_iter().for_each(|moment| point(step, moment));
        point(step, Moment::Before);
    }
}

fn run(at: &str, once: &Path) -> ExitStatus {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "crash::victim"]).env("STREAMSPACE_CRASH_AT", at).env("STREAMSPACE_CRASH_ONCE", once);
    command.output().unwrap().status
}

#[test]
fn it_dies_where_it_was_told_to_and_once_only() {
    let folder = tempfile::tempdir().unwrap();
    for (number, at) in
        ["relay.publish:before", "timer.fire:during", "worker.ack:after", "worker.ack:before:2"].iter().enumerate()
    {
        let once = folder.path().join(number.to_string());
        assert_eq!(run(at, &once).signal(), Some(9), "{at}");
        assert!(run(at, &once).success(), "{at} is inert once its file exists");
    }
    assert!(run("worker.ack:before:3", &folder.path().join("never")).success(), "there is no third time");
    assert!(run("no.such:before", &folder.path().join("never")).success());
}
