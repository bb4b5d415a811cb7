//! `streamspace conformance` examines the binary's own controller, and finds what is broken.

use std::path::Path;

use anyhow::ensure;
use serde_json::Value;
use tempfile::tempdir;

use crate::program::{Said, run};

const BINARY: &str = env!("CARGO_BIN_EXE_streamspace");

fn examine(folder: &Path, options: &[&str], command: &[&str]) -> anyhow::Result<Said> {
    let arguments = [&["conformance", "--platform", "noop", "--id", "noop-1"], options, &["--"], command].concat();
    run(folder, &arguments)
}

/// The outcome of one promise in a JSON report.
fn outcome(said: &Said, name: &str) -> anyhow::Result<String> {
    let report: Value = serde_json::from_str(&said.out)?;
    let lines = report[0]["promises"].as_array().cloned().unwrap_or_default();
    let line = lines.into_iter().find(|line| line["name"] == name);
    Ok(line.map(|line| line["outcome"].as_str().unwrap_or_default().to_owned()).unwrap_or_default())
}

#[test]
fn a_controller_that_keeps_its_promises_passes_and_what_cannot_be_seen_is_not_said_to_pass() -> anyhow::Result<()> {
    let folder = tempdir()?;
    let junit = folder.path().join("junit.xml");
    let junit_flag = junit.to_string_lossy();
    let options =
        ["--only", "create-twice", "--only", "stale", "--only", "nodes", "--only", "reports", "--junit", &junit_flag];
    let said = examine(folder.path(), &[&options[..], &["-o", "json"]].concat(), &[BINARY, "controller"])?.done()?;
    for (name, expected) in
        [("create-twice", "not seen"), ("stale-generation", "passed"), ("reports", "passed"), ("nodes", "absent")]
    {
        ensure!(outcome(&said, name)? == expected, "{name}: {}", said.out);
    }
    let xml = std::fs::read_to_string(junit)?;
    ensure!(xml.contains("failures=\"0\"") && xml.contains("<skipped message=\"not seen: "), "{xml}");
    Ok(())
}

#[test]
fn a_controller_that_answers_for_another_platform_or_dies_at_once_is_found_out() -> anyhow::Result<()> {
    let folder = tempdir()?;
    let other = ["sh", "-c", "exec \"$0\" controller --platform noop --controller-id other", BINARY];
    let said = examine(folder.path(), &["--only", "heartbeat", "-o", "json"], &other)?;
    ensure!(said.code == Some(1) && outcome(&said, "heartbeat")? == "failed", "{said:?}");
    let dies = ["sh", "-c", "echo last words; exit 3"];
    examine(folder.path(), &[], &dies)?.refuses_last(5, &["no heartbeat", "exit status: 3", "last words"])
}

#[test]
fn what_cannot_be_examined_is_a_usage_error_that_says_why() -> anyhow::Result<()> {
    let folder = tempdir()?;
    examine(folder.path(), &[], &[])?.refuses_last(2, &["after `--`"])?;
    examine(folder.path(), &[], &["/nonexistent"])?.refuses_last(2, &["/nonexistent"])?;
    examine(folder.path(), &["--only", "flies"], &["true"])?.refuses(2, &["\"flies\"", "--list"])?;
    examine(folder.path(), &["--template", "missing.yaml"], &["true"])?.refuses(2, &["--template missing.yaml"])?;
    let listed = run(folder.path(), &["conformance", "--list"])?.done()?;
    ensure!(listed.out.contains("killed") && !listed.out.contains("cut-anywhere"), "{listed:?}");
    Ok(())
}
