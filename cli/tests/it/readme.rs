//! The README's walk-through works as written, and the documents name only files that exist.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};
use serde_json::Value;

use crate::dev::Dev;
use crate::program::clean;

/// The shell blocks between the marks, concatenated.
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

/// The documents to check: those of the top level and of the crates, and everything under `docs/`.
fn documents(root: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut found: Vec<PathBuf> =
        ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"].iter().map(|name| root.join(name)).collect();
    for entry in std::fs::read_dir(root)? {
        let readme = entry?.path().join("README.md");
        found.extend(readme.exists().then_some(readme));
    }
    let mut folders = vec![root.join("docs")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "md") {
                found.push(path);
            }
        }
    }
    Ok(found)
}

/// Whether a name in code font is the path of one file in this tree, as opposed to a pattern, a placeholder or
/// a command.
fn is_path(name: &str) -> bool {
    let folders = [
        "engine/",
        "api/",
        "controllers/",
        "streams/",
        "migrations/",
        "compose/",
        "cli/",
        "bench/",
        "scripts/",
        "docs/",
    ];
    folders.iter().any(|folder| name.starts_with(folder))
        && !name.contains(|c: char| c.is_whitespace() || "<*{".contains(c))
}

/// Whether it is a path below the document itself, as in the README of a crate.
fn is_in_crate(name: &str) -> bool {
    ["src/", "tests/", "machine/"].iter().any(|folder| name.starts_with(folder))
        && !name.contains(|c: char| c.is_whitespace() || "<*{".contains(c))
}

/// Targets of relative links, without fragments.
fn links(text: &str) -> impl Iterator<Item = &str> {
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target);
    let paths = targets.filter_map(|target| target.split('#').next());
    paths.filter(|path| !path.is_empty() && !path.contains("://") && !path.contains(char::is_whitespace))
}

#[test]
fn the_documents_name_files_that_are_there() -> anyhow::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let documents = documents(&root)?;
    ensure!(documents.len() > 25, "few documents were found: {documents:?}");
    let (mut named, mut missing) = (0, Vec::new());
    for document in &documents {
        let text = std::fs::read_to_string(document)?;
        for file in text.split('`').skip(1).step_by(2).filter(|name| is_path(name)) {
            named += 1;
            if !root.join(file).exists() {
                missing.push(format!("{} names {file}", document.display()));
            }
        }
        let folder = document.parent().context("a document has a folder")?;
        let own = text.split('`').skip(1).step_by(2).filter(|name| is_in_crate(name));
        missing.extend(
            own.filter(|name| !folder.join(name).exists()).map(|name| format!("{} names {name}", document.display())),
        );
        let broken = links(&text).filter(|path| !folder.join(path).exists());
        missing.extend(broken.map(|path| format!("{} links to {path}", document.display())));
    }
    ensure!(named > 100, "few files are named: {named}");
    ensure!(missing.is_empty(), "these files are not there: {missing:#?}");
    Ok(())
}

#[test]
fn each_guide_names_enough_files_to_follow_it() -> anyhow::Result<()> {
    let guides = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/how-to");
    for guide in ["add-a-column", "add-a-noun", "add-a-driver", "add-a-command"] {
        let text = std::fs::read_to_string(guides.join(guide).with_extension("md"))?;
        let files = text.split('`').skip(1).step_by(2).filter(|name| is_path(name)).count();
        ensure!(files >= 8, "{guide} names {files} files");
    }
    Ok(())
}
