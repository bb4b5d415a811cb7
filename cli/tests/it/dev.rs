//! `streamspace dev` as people use it, with a real nats-server, a real controller, and kills.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, ensure};
use cli::children::{Child, alive};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::{TempDir, tempdir};

use crate::program::{Running, Said, program, run, said, until};

/// A folder with a running `dev`; dropping it removes everything.
pub(crate) struct Dev {
    pub(crate) folder: TempDir,
    process: Option<Running>,
}

impl Dev {
    pub(crate) fn new() -> anyhow::Result<Self> {
        Ok(Self { folder: tempdir()?, process: None })
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Starts it and waits until it is ready.
    pub(crate) fn start(&mut self) -> anyhow::Result<()> {
        self.start_with(&[])
    }

    /// Starts it with additional environment variables.
    pub(crate) fn start_with(&mut self, environment: &[(&str, &str)]) -> anyhow::Result<()> {
        let out = self.folder.path().join("out");
        let mut command = program(self.folder.path(), &["dev", "--http-addr", "127.0.0.1:0"]);
        command.envs(environment.iter().copied());
        command.stdout(File::create(&out)?).stderr(File::create(self.folder.path().join("err"))?).stdin(Stdio::null());
        let process = self.process.insert(Running(command.spawn()?));
        let err = self.folder.path().join("err");
        until("dev runs", || {
            ensure!(process.0.try_wait()?.is_none(), "dev ended: {}", std::fs::read_to_string(&err)?);
            Ok(std::fs::read_to_string(&out)?.contains("is running"))
        })
    }

    fn process(&mut self) -> anyhow::Result<&mut Running> {
        self.process.as_mut().context("dev is not started")
    }

    pub(crate) fn kill(&mut self) -> anyhow::Result<()> {
        self.process()?.kill()
    }

    /// Runs a command that may fail.
    pub(crate) fn tell(&self, arguments: &[&str]) -> anyhow::Result<Said> {
        run(self.folder.path(), arguments)
    }

    pub(crate) fn ask(&self, arguments: &[&str]) -> anyhow::Result<Said> {
        run(self.folder.path(), arguments)?.done()
    }

    fn children(&self) -> anyhow::Result<Vec<Child>> {
        children(&self.data())
    }

    fn child(&self, name: &str) -> anyhow::Result<Option<Child>> {
        Ok(self.children()?.into_iter().find(|child| child.name == name))
    }

    pub(crate) fn sessions(&self) -> anyhow::Result<Vec<Value>> {
        Ok(serde_json::from_str(&self.ask(&["session", "list", "-o", "json"])?.out)?)
    }
}

fn children(data: &Path) -> anyhow::Result<Vec<Child>> {
    let book: Value = serde_json::from_slice(&std::fs::read(data.join("children.json"))?)?;
    Ok(serde_json::from_value(book["children"].clone())?)
}

/// Pids of the sessions' processes, from the local driver's state.
fn session_processes(data: &Path) -> Vec<i64> {
    let folders = std::fs::read_dir(data.join("local/sessions")).into_iter().flatten().flatten();
    let states = folders.filter_map(|folder| std::fs::read(folder.path().join("state.json")).ok());
    states.filter_map(|state| serde_json::from_slice::<Value>(&state).ok()?["process"]["pid"].as_i64()).collect()
}

impl Drop for Dev {
    fn drop(&mut self) {
        self.process = None;
        let children = children(&self.data()).unwrap_or_default().into_iter().filter(alive).map(|child| child.pid);
        let sessions = session_processes(&self.data()).into_iter().map(|pid| pid as i32);
        for pid in children.chain(sessions).filter_map(Pid::from_raw) {
            let _ = kill_process(pid, Signal::KILL); // it has ended already
        }
    }
}

#[test]
fn a_session_outlives_a_kill_of_dev_and_is_adopted_by_the_next_one() -> anyhow::Result<()> {
    let mut dev = Dev::new()?;
    dev.start()?;
    let url = dev.ask(&["session", "create", "scratchpad", "--wait"])?.out;
    ensure!(url.starts_with("http://127.0.0.1:"), "{url}");
    let left = dev.children()?;
    ensure!(left.len() == 2 && left.iter().all(alive), "{left:?}");
    dev.process()?.kill()?;
    ensure!(left.iter().all(alive), "children end with dev, so there is nothing to end: {left:?}");

    dev.start()?;
    ensure!(!left.iter().any(alive), "an earlier run's child lives on");
    let sessions = dev.sessions()?;
    ensure!(sessions.len() == 1 && sessions[0]["url"] == url.trim_end(), "{sessions:?}");
    let id = sessions[0]["session_id"].as_str().context("an id")?;
    dev.ask(&["session", "delete", id, "--wait"])?;
    let story = dev.ask(&["session", "watch", id])?.out;
    ensure!(story.contains("session.create") && story.contains("now deleted"), "{story}");
    ensure!(session_processes(&dev.data()).is_empty(), "its process was left behind");
    Ok(())
}

#[test]
fn a_child_that_dies_is_started_again_and_work_goes_on() -> anyhow::Result<()> {
    let mut dev = Dev::new()?;
    dev.start()?;
    for name in ["nats-server", "controller"] {
        let mut before = None;
        until("it is written down", || {
            before = dev.child(name)?;
            Ok(before.is_some())
        })?;
        let before = before.context("it is written down")?;
        kill_process(Pid::from_raw(before.pid).context("a pid")?, Signal::KILL)?;
        until("another one runs", || Ok(dev.child(name)?.is_some_and(|child| child != before && alive(&child))))?;
    }
    let id = dev.ask(&["session", "create", "scratchpad"])?.out;
    let id = id.split_whitespace().next().context("an id")?;
    dev.ask(&["session", "watch", id])?;
    dev.ask(&["session", "delete", id, "--wait"])?;
    Ok(())
}

#[test]
fn asked_to_end_it_leaves_nothing_running_but_sessions() -> anyhow::Result<()> {
    let mut dev = Dev::new()?;
    dev.start()?;
    let children = dev.children()?;
    let kept = dev.data().join("secrets");
    let secrets = std::fs::read(&kept)?;
    ensure!(dev.process()?.stop()? == Some(0), "it does not end well");
    ensure!(!children.iter().any(alive) && dev.children()?.is_empty(), "{children:?}");
    run(dev.folder.path(), &["session", "list"])?.refuses(5, &["cannot reach", "streamspace dev"])?;
    dev.start()?;
    ensure!(std::fs::read(&kept)? == secrets, "the token changed");
    Ok(())
}

#[test]
fn refused_templates_are_named_and_the_others_applied() -> anyhow::Result<()> {
    let mut dev = Dev::new()?;
    dev.start()?;
    let folder = dev.folder.path().join("catalog");
    std::fs::create_dir_all(folder.join("more"))?;
    let good = |name: &str| {
        format!(
            "apiVersion: stream.space/v1alpha1\nkind: Template\nmetadata: {{ name: {name} }}\nspec: {{ displayName: T, baseImage: a/b }}\n"
        )
    };
    std::fs::write(folder.join("one.yaml"), good("one"))?;
    std::fs::write(folder.join("more/two.yml"), good("two"))?;
    std::fs::write(folder.join("broken.yaml"), "kind: [")?;
    std::fs::write(folder.join("notes.txt"), "not looked at")?;
    let answer = run(dev.folder.path(), &["template", "apply", "catalog"])?;
    ensure!(answer.code == Some(1), "{answer:?}");
    ensure!(answer.out.contains("one.yaml: one created") && answer.out.contains("two.yml: two created"), "{answer:?}");
    ensure!(answer.err.contains("broken.yaml: refused") && answer.err.contains("1 of 3 files"), "{answer:?}");
    let mut piped = program(dev.folder.path(), &["template", "apply", "-"]);
    piped.stdin(File::open(folder.join("one.yaml"))?);
    let answer = said(piped.output()?)?;
    ensure!(answer.code == Some(0) && answer.out.contains("-: one unchanged"), "{answer:?}");
    let answer = run(dev.folder.path(), &["session", "create", "missing", "--idle-timeout", "soon"])?;
    answer.refuses(1, &["template_id: ", "idle_timeout: ", "; try: "])?;
    run(dev.folder.path(), &["session", "get", "01a20549-a5fb-7255-8fb3-65e3ff665b4f"])?
        .refuses(3, &["there is no session"])
}
