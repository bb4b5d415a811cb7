//! The crash points stay complete as the code grows: those in the sources, those that the crash tests use
//! ([`STEPS`], each at every moment), and those of the table in ARCHITECTURE.md are the same.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use streams::crash::STEPS;

/// Steps in the life of a request that have no point, and the reason.
const NEEDLESS: [(&str, &str); 2] = [
    ("Ask", "nothing is durable yet: whoever asked is told nothing, and asks again"),
    ("Accept", "nothing is durable yet: the request is only read"),
];

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a workspace").to_owned()
}

/// Every Rust source of the workspace that is compiled into a program.
fn sources() -> Vec<(PathBuf, String)> {
    let rooms = fs::read_dir(workspace()).expect("readable").flatten().map(|room| room.path());
    let nested = [workspace().join("engine/machine")];
    let mut folders: Vec<PathBuf> =
        rooms.chain(nested).map(|room| room.join("src")).filter(|src| src.is_dir()).collect();
    let mut all = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("readable").flatten().map(|entry| entry.path()) {
            if entry.is_dir() {
                folders.push(entry);
            } else if entry.extension().is_some_and(|end| end == "rs") && !entry.ends_with("streams/src/crash.rs") {
                let text = fs::read_to_string(&entry).expect("readable");
                all.push((entry, text));
            }
        }
    }
    all
}

/// The string literal right after `before`.
fn quoted_after<'a>(text: &'a str, before: &'a str) -> impl Iterator<Item = &'a str> {
    text.match_indices(before).filter_map(move |(at, _)| {
        text[at + before.len()..].trim_start().strip_prefix('"')?.split_once('"').map(|(name, _)| name)
    })
}

/// The steps of the table, with the points that each names.
fn trip() -> Vec<(String, Vec<String>)> {
    let text = fs::read_to_string(workspace().join("ARCHITECTURE.md")).expect("readable");
    let table = text.split_once("| step | file | what happens | crash point |").expect("the table of the trip").1;
    let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    rows.map(|row| {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        let points = cells.last().into_iter().flat_map(|cell| cell.split('`')).skip(1).step_by(2);
        (cells[0].to_owned(), points.map(str::to_owned).collect())
    })
    .collect()
}

#[test]
fn every_point_in_the_sources_is_killed_at_and_every_step_that_is_killed_at_is_there() {
    let sources = sources();
    assert!(sources.len() > 100, "the sources were not found: {}", sources.len());
    let marked: BTreeSet<&str> = sources.iter().flat_map(|(_, text)| quoted_after(text, "point(")).collect();
    let forgotten: Vec<&&str> = marked.iter().filter(|name| !STEPS.contains(name)).collect();
    assert!(forgotten.is_empty(), "no crash story kills at {forgotten:?}: add them to streams::crash::STEPS");
    assert!(marked.len() > 5, "{marked:?}");
    let named = |step: &str| sources.iter().any(|(_, text)| text.contains(&format!("\"{step}\"")));
    let gone: Vec<&&str> = STEPS.iter().filter(|step| !named(step)).collect();
    assert!(gone.is_empty(), "{gone:?} are killed at, and nowhere in the sources");
}

#[test]
fn every_step_of_the_trip_has_a_point_or_says_why_not() {
    let trip = trip();
    let (with, without): (Vec<_>, Vec<_>) = trip.iter().partition(|(_, points)| !points.is_empty());
    let excused = |step: &str| NEEDLESS.iter().any(|(name, why)| *name == step && !why.is_empty());
    let missing: Vec<&String> = without.iter().map(|(step, _)| step).filter(|step| !excused(step)).collect();
    assert!(missing.is_empty(), "steps of the trip without a crash point: {missing:?}");
    let needed = NEEDLESS.iter().find(|(name, _)| !without.iter().any(|(step, _)| step == name));
    assert!(needed.is_none(), "{needed:?} is no step without a point any more");
    let points: Vec<&String> = with.iter().flat_map(|(_, points)| points).collect();
    let meant = |point: &str, step: &str| match point.strip_suffix('*') {
        Some(start) => step.starts_with(start),
        None => step == point,
    };
    let unknown: Vec<&&String> = points.iter().filter(|point| !STEPS.iter().any(|step| meant(point, step))).collect();
    assert!(unknown.is_empty(), "the trip names points that do not exist: {unknown:?}");
    let untold: Vec<&&str> = STEPS.iter().filter(|step| !points.iter().any(|point| meant(point, step))).collect();
    assert!(untold.is_empty(), "the trip does not tell of {untold:?}");
}
