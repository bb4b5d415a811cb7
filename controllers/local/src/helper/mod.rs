//! What the driver needs processes of its own for, run by the program that the driver is part of.
//!
//! `launch` becomes a session's program: it waits at a gate until its pid is on disk, gives up what the program must not
//! have, and executes it, without a shell. `log` writes what a session says into bounded files and needs no controller.

mod confine;
mod launch;
pub(super) mod log;

use std::{fs, process::ExitCode};

pub(super) use launch::{Launch, Owner};

/// First argument of every call: a word that no person types.
pub(super) const WORD: &str = "local-session-helper";
pub(super) const LAUNCH: &str = "launch";
pub(super) const LOG: &str = "log";
/// Answers with its exit code whether a private view of the file system can be had.
pub(super) const PROBE: &str = "probe";

/// Does the helper's work where the arguments (without the program's name) ask for it. Has to be the first thing that a
/// program does: before any thread is started, and before a file is opened.
#[must_use]
pub fn helper(arguments: &[String]) -> Option<ExitCode> {
    let [word, what, rest @ ..] = arguments else { return None };
    if word != WORD {
        return None;
    }
    close_inherited();
    Some(match what.as_str() {
        LAUNCH => launch::run(),
        LOG => log::run(rest.first().and_then(|bytes| bytes.parse().ok())),
        PROBE => confine::probe(),
        _ => ExitCode::from(2),
    })
}

/// Closes what whoever started the controller left open; ours are closed by every exec already.
fn close_inherited() {
    let open = fs::read_dir("/proc/self/fd").into_iter().flatten().flatten();
    let numbers = open.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok()).collect::<Vec<_>>();
    for number in numbers.into_iter().filter(|number| *number > 2) {
        let _ = nix::unistd::close(number); // the listing's own is closed by now
    }
}
