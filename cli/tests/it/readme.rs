//! The README's walk-through works, as it is written there, and the documents name files that are there.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, ensure};
use serde_json::Value;

use crate::dev::Dev;
use crate::program::clean;

/// The shell blocks between the marks, one after the other.
fn script() -> anyhow::Result<String> {
    let readme = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md"))?;
    let (_, rest) = readme.split_once("<!-- walk-through").context("the walk-through begins")?;
    let (text, _) = rest.split_once("<!-- /walk-through -->").context("the walk-through ends")?;
    let blocks = text.split("```sh\n").skip(1).map(|block| block.split_once("```").map_or("", |(block, _)| block));
    Ok(blocks.collect())
}

#[test]
fn the_readmes_walk_through_works() -> anyhow::Result<()> {
    let mut dev = Dev::new()?;
    dev.start_with(&[])?;
    let folder = dev.folder.path();
    std::fs::create_dir_all(folder.join("target/debug"))?;
    symlink(env!("CARGO_BIN_EXE_streamspace"), folder.join("target/debug/streamspace"))?;
    let script = script()?;
    ensure!(script.matches("streamspace ").count() >= 12, "the walk-through has little to it:\n{script}");
    let mut shell = Command::new("sh");
    shell.args(["-eux", "-c", &script]);
    let said = clean(shell, folder).output()?;
    let (out, err) = (String::from_utf8_lossy(&said.stdout), String::from_utf8_lossy(&said.stderr));
    ensure!(said.status.success(), "{}\n{err}\n{out}", said.status);
    ensure!(out.contains("http://127.0.0.1:"), "no URL was printed:\n{out}");
    for list in ["session", "app", "dlq"] {
        let left: Value = serde_json::from_str(&dev.ask(&[list, "list", "-o", "json"])?.out)?;
        let gone = |item: &Value| item["install_status"] == "uninstalled";
        ensure!(left.as_array().is_some_and(|all| all.iter().all(gone)), "something is left of {list}: {left}");
    }
    Ok(())
}

#[test]
fn the_documents_name_files_that_are_there() -> anyhow::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let rooms =
        ["engine/", "api/", "controllers/", "streams/", "migrations/", "compose/", "cli/", "bench/", "scripts/"];
    for document in ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"] {
        let text = std::fs::read_to_string(root.join(document))?;
        let named = text.split('`').skip(1).step_by(2).filter(|name| rooms.iter().any(|room| name.starts_with(room)));
        let files: Vec<&str> = named.filter(|name| !name.contains(char::is_whitespace)).collect();
        ensure!(!files.is_empty(), "{document} names no file");
        for file in files {
            ensure!(root.join(file).exists(), "{document} names {file}, which is not there");
        }
    }
    Ok(())
}
