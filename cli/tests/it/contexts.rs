//! Contexts: which server is used, and that tokens are never shown.

use std::io::Write;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, ensure};
use tempfile::{TempDir, tempdir};

use crate::program::{Said, program, run, said};

const TOKEN: &str = "a-token-that-nobody-may-see";

/// An address without a listener.
fn nobody() -> anyhow::Result<String> {
    Ok(format!("http://{}/", TcpListener::bind("127.0.0.1:0")?.local_addr()?))
}

fn add(folder: &Path, name: &str, url: &str) -> anyhow::Result<Said> {
    let mut command = program(folder, &["context", "add", name, "--url", url, "--token-file", "-"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    child.stdin.take().context("a pipe")?.write_all(TOKEN.as_bytes())?;
    said(child.wait_with_output()?)
}

/// Two contexts, the first of which is in use.
fn two() -> anyhow::Result<(TempDir, [String; 2])> {
    let folder = tempdir()?;
    let urls = [nobody()?, nobody()?];
    add(folder.path(), "one", &urls[0])?.done()?;
    add(folder.path(), "two", &urls[1])?.done()?;
    Ok((folder, urls))
}

#[test]
fn the_one_in_use_is_asked_unless_something_else_is_said() -> anyhow::Result<()> {
    let (folder, [one, two]) = two()?;
    let ask = |arguments: &[&str]| run(folder.path(), &[&["session", "list"], arguments].concat());
    ask(&[])?.refuses(5, &[&one, "context one", "context list"])?;
    ask(&["--context", "two"])?.refuses(5, &[&two, "context two"])?;
    run(folder.path(), &["--context", "two", "session", "list"])?.refuses(5, &[&two])?;
    let mut environment = program(folder.path(), &["session", "list"]);
    said(environment.env("STREAMSPACE_CONTEXT", "two").output()?)?.refuses(5, &[&two])?;
    let mut flag = program(folder.path(), &["session", "list", "--context", "one"]);
    said(flag.env("STREAMSPACE_CONTEXT", "two").output()?)?.refuses(5, &[&one])?;
    run(folder.path(), &["context", "use", "two"])?.done()?;
    ask(&[])?.refuses(5, &[&two])?;
    ask(&["--context", "three"])?.refuses(3, &["\"three\"", "one, two, dev"])?;
    ask(&["--context", "dev"])?.refuses(2, &["endpoints.json"])?;
    run(folder.path(), &["context", "remove", "two"])?.done()?;
    ask(&[])?.refuses(2, &["endpoints.json"])
}

#[test]
fn tokens_are_kept_from_everybody() -> anyhow::Result<()> {
    let (folder, _) = two()?;
    let config = folder.path().join("xdg/streamspace/config.yaml");
    ensure!(std::fs::metadata(&config)?.permissions().mode() & 0o777 == 0o600, "others can read it");
    ensure!(std::fs::read_to_string(&config)?.contains(TOKEN));
    let shown = [
        run(folder.path(), &["context", "list", "-o", "wide"])?.done()?,
        run(folder.path(), &["context", "list", "-o", "json"])?.done()?,
        run(folder.path(), &["context", "show", "two", "-o", "yaml"])?.done()?,
        run(folder.path(), &["session", "list", "--verbose"])?,
    ];
    ensure!(!shown.iter().any(|said| said.out.contains(TOKEN) || said.err.contains(TOKEN)), "{shown:?}");
    ensure!(run(folder.path(), &["context", "list", "-q"])?.out == "one\ntwo\ndev\n");
    // A broken file is named, and its content is not quoted.
    std::fs::write(&config, format!("contexts: [{TOKEN}"))?;
    let broken = run(folder.path(), &["session", "list"])?;
    broken.refuses(2, &["config.yaml"])?;
    ensure!(!broken.err.contains(TOKEN), "{broken:?}");
    Ok(())
}

#[test]
fn a_token_file_is_read_each_time() -> anyhow::Result<()> {
    let folder = tempdir()?;
    let add = ["context", "add", "prod", "--url", "http://127.0.0.1:9", "--token-file", "token"];
    run(folder.path(), &add)?.refuses(2, &["token"])?;
    std::fs::write(folder.path().join("token"), "t\n")?;
    run(folder.path(), &add)?.done()?;
    let shown = run(folder.path(), &["context", "show"])?.done()?.out;
    ensure!(shown.contains("/token"), "{shown}");
    std::fs::write(folder.path().join("token"), "\n")?;
    run(folder.path(), &["session", "list"])?.refuses(2, &["contains no token"])
}

#[test]
fn names_and_urls_are_checked() -> anyhow::Result<()> {
    let folder = tempdir()?;
    for (name, url) in [("dev", "http://a"), ("a b", "http://a"), ("a", "a"), ("a", "https://u:p@host")] {
        let answer = run(folder.path(), &["context", "add", name, "--url", url])?;
        ensure!(answer.code == Some(2), "{answer:?}");
    }
    ensure!(!folder.path().join("xdg").exists(), "something was written");
    Ok(())
}
