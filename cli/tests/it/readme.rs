//! The README's commands do what it says, in its order.

use std::path::Path;

use anyhow::{Context, ensure};

use crate::dev::Dev;
use crate::program::run;

/// The commands between the marks, as arguments of the binary.
fn commands() -> anyhow::Result<Vec<Vec<String>>> {
    let readme = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md"))?;
    let (_, rest) = readme.split_once("<!-- walk-through").context("the walk-through begins")?;
    let (block, _) = rest.split_once("<!-- /walk-through -->").context("the walk-through ends")?;
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let lines = block.lines().filter_map(|line| line.strip_prefix("target/debug/streamspace "));
    Ok(lines.map(words).collect())
}

#[test]
fn the_readmes_walk_through_works() -> anyhow::Result<()> {
    let mut dev = Dev::new()?;
    dev.start_with(&[])?;
    let commands = commands()?;
    ensure!(commands.len() >= 4, "the walk-through has only {} commands", commands.len());
    for command in commands {
        let arguments: Vec<&str> = command.iter().map(String::as_str).collect();
        let said = run(dev.folder.path(), &arguments)?.done().with_context(|| command.join(" "))?;
        ensure!(!said.out.trim().is_empty(), "{} said nothing", command.join(" "));
    }
    Ok(())
}
