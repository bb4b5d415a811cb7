//! Exit codes, each provoked by a server's answer; by a real server where possible.

use anyhow::{Context, ensure};
use rustix::process::Signal;
use serde_json::json;
use std::process::Stdio;

use crate::dev::Dev;
use crate::fake::{Fake, json};
use crate::program::{Running, program, run, until};

const NOBODY: &str = "01a20549-a5fb-7255-8fb3-65e3ff665b4f";

#[test]
fn a_real_server_brings_about_the_codes_that_are_documented() -> anyhow::Result<()> {
    let mut dev = Dev::new()?;
    dev.start()?;
    let folder = dev.folder.path();
    run(folder, &["session", "list"])?.done()?;
    run(folder, &["session", "create", "missing"])?.refuses(1, &["template_id", "; try: "])?;
    run(folder, &["session", "get", NOBODY])?.refuses(3, &["there is no session"])?;
    run(folder, &["session", "list", "--token", "wrong"])?.refuses(6, &["token", "; try: "])?;
    let id = dev.ask(&["session", "create", "scratchpad", "-q"])?.out;
    let id = id.trim();
    dev.ask(&["session", "watch", id])?;
    dev.ask(&["session", "delete", id, "--wait"])?;
    run(folder, &["session", "wake", id])?.refuses(4, &["deleted cannot wake"])?;
    let nowhere = ["session", "create", "scratchpad", "--selector", "zone=none", "--wait", "--timeout", "1s"];
    run(folder, &nowhere)?.refuses_last(5, &["is still pending", "; try: ", "session watch"])?;
    Ok(())
}

#[test]
fn ctrl_c_says_how_to_go_on() -> anyhow::Result<()> {
    let mut dev = Dev::new()?;
    dev.start()?;
    let id = dev.ask(&["session", "create", "scratchpad", "-q"])?.out;
    let id = id.trim();
    let err = dev.folder.path().join("watch-err");
    let out = dev.folder.path().join("watch-out");
    let mut watch = program(dev.folder.path(), &["session", "watch", id, "--follow"]);
    watch.stdout(std::fs::File::create(&out)?).stderr(std::fs::File::create(&err)?).stdin(Stdio::null());
    let mut watch = Running(watch.spawn()?);
    until("it watches", || Ok(std::fs::read_to_string(&out)?.contains("now running")))?;
    watch.signal(Signal::INT)?;
    let code = watch.0.wait()?.code();
    let said = std::fs::read_to_string(&err)?;
    ensure!(code == Some(130) && said.contains(&format!("streamspace session watch {id}")), "{code:?}: {said}");
    ensure!(!std::fs::read_to_string(&out)?.contains('\u{1b}'), "a spinner in a file");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_real_server_says_at_will_has_its_code_too() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    for (status, code) in [(403, 6), (412, 4), (410, 3), (500, 1)] {
        let server = Fake::start(move |_, _| json(status, &json!({ "detail": "so it is", "type": "/problems/x" })))?;
        let ask = ["session", "list", "--server", &server.url, "--token", "t"];
        run(folder.path(), &ask)?.refuses(code, &["so it is"])?;
        let more = run(folder.path(), &[&ask[..], &["--verbose"]].concat())?;
        ensure!(more.err.contains("/problems/x") && more.err.contains("GET http"), "{more:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_server_is_named_as_the_reason() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let nothing = json!({ "detail": "there is nothing at this path; /docs lists what there is" });
    let server = Fake::start(move |_, _| json(404, &nothing))?;
    let at = ["--server", &server.url, "--token", "t"];
    for command in
        [&["job", "list"][..], &["app", "list"], &["event", "list"], &["session", "extend", NOBODY, "--by", "1m"]]
    {
        let said = run(folder.path(), &[command, &at].concat())?;
        said.refuses(1, &["older than this program", "; try: update the server"]).with_context(|| command.join(" "))?;
    }
    Ok(())
}
