//! The help texts are a snapshot, the completions are valid, the manual is complete.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};
use tempfile::tempdir;

use crate::program::run;

/// The help of every visible command, one after the other.
fn pages(command: &clap::Command, name: &str, out: &mut String) -> anyhow::Result<()> {
    writeln!(out, "=== {name}\n\n{}", command.clone().bin_name(name).term_width(100).render_help())?;
    for inner in command.get_subcommands().filter(|inner| !inner.is_hide_set() && inner.get_name() != "help") {
        pages(inner, &format!("{name} {}", inner.get_name()), out)?;
    }
    Ok(())
}

fn walk(command: &clap::Command, path: &[&str], visit: &mut impl FnMut(&clap::Command, &[&str])) {
    visit(command, path);
    for inner in command.get_subcommands().filter(|inner| !inner.is_hide_set() && inner.get_name() != "help") {
        walk(inner, &[path, &[inner.get_name()]].concat(), visit);
    }
}

fn built() -> clap::Command {
    let mut command = cli::command();
    command.build();
    command
}

#[test]
fn the_help_is_as_it_was_reviewed() -> anyhow::Result<()> {
    let snapshot = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/help.txt");
    // Global options appear once, with the command that defines them.
    let mut now = String::new();
    pages(&cli::command(), "streamspace", &mut now)?;
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        std::fs::write(&snapshot, &now)?;
    }
    let reviewed = std::fs::read_to_string(&snapshot)?;
    ensure!(now == reviewed, "the help changed; UPDATE_SNAPSHOTS=1 writes tests/it/help.txt, for review");
    Ok(())
}

#[test]
fn every_command_that_asks_a_server_shows_an_example() {
    let mut without = Vec::new();
    let alone = ["dev", "serve", "migrate", "controller", "nats-config"];
    walk(&built(), &[], &mut |command, path| {
        let leaf = command.get_subcommands().all(|inner| inner.get_name() == "help");
        let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        if leaf && !path.is_empty() && !alone.contains(&path[0]) && !help.contains("Example") {
            without.push(path.join(" "));
        }
    });
    assert!(without.is_empty(), "no example: {without:?}");
}

#[test]
fn completions_are_made_for_every_shell_and_bash_takes_them() -> anyhow::Result<()> {
    let folder = tempdir()?;
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = run(folder.path(), &["completions", shell])?.done()?.out;
        ensure!(script.contains("hibernate") && script.contains("streamspace"), "{shell}");
        std::fs::write(folder.path().join(shell), script)?;
    }
    let checked = Command::new("bash").arg("-n").arg(folder.path().join("bash")).status()?;
    ensure!(checked.success(), "bash rejects it");
    let completes = "source ./bash; COMP_WORDS=(streamspace session hib); COMP_CWORD=2; _streamspace streamspace hib session; \
                     echo \"${COMPREPLY[@]}\"";
    let out = Command::new("bash").args(["-c", completes]).current_dir(folder.path()).output()?;
    ensure!(String::from_utf8(out.stdout)?.trim() == "hibernate", "{}", String::from_utf8(out.stderr)?);
    Ok(())
}

#[test]
fn the_manual_has_a_page_for_every_command() -> anyhow::Result<()> {
    let folder = tempdir()?;
    let page = run(folder.path(), &["man"])?.done()?.out;
    ensure!(page.starts_with(".ie") && page.contains(".TH streamspace 1"), "{page}");
    run(folder.path(), &["man", "--dir", "pages"])?.done()?;
    let mut missing: Vec<PathBuf> = Vec::new();
    walk(&built(), &["streamspace"], &mut |_, path| {
        let page = folder.path().join("pages").join(format!("{}.1", path.join("-")));
        let text = std::fs::read_to_string(&page).unwrap_or_default();
        if !text.contains(".TH") || !text.contains("SYNOPSIS") {
            missing.push(page);
        }
    });
    ensure!(missing.is_empty(), "{missing:?}");
    let file = folder.path().join("file");
    std::fs::write(&file, "")?;
    let file = file.to_str().context("a path")?;
    run(folder.path(), &["man", "--dir", file])?.refuses(2, &["--dir"])
}
