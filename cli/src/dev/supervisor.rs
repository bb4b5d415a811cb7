//! Keeps a child process running: starts it, restarts it after a pause when it ends, and stops it on request.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt;
use tokio::process::{Child as Process, Command};
use tokio_util::sync::CancellationToken;

use crate::children::{self, Child, Ledger};
use crate::shutdown::Shutdown;

/// The child waits for a line before it executes the program, by when it is recorded. If this process dies
/// first, the pipe closes and the child exits.
const GATE: &str = r#"read -r _ && exec "$@""#;
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// A program that ran this long started well, so the next pause is short again.
const WELL: Duration = Duration::from_secs(30);
/// A log larger than this is rotated when its program starts.
const LOG_MAX: u64 = 10 << 20;

/// A program to keep running.
#[derive(Debug, Clone)]
pub(super) struct Program {
    pub(super) name: &'static str,
    pub(super) executable: PathBuf,
    pub(super) arguments: Vec<String>,
    pub(super) environment: Vec<(&'static str, String)>,
    /// Log file, appended to.
    pub(super) log: PathBuf,
    /// Time that it gets to exit by itself.
    pub(super) grace: Duration,
}

/// Keeps the program running until `cancel`; returns when it has ended or cannot be ended.
pub(super) async fn keep(program: Program, ledger: Arc<Ledger>, cancel: CancellationToken, shutdown: Shutdown) {
    let mut pause = FIRST_PAUSE;
    while !cancel.is_cancelled() {
        let begun = Instant::now();
        match start(&program, &ledger).await {
            Ok((process, child)) => run(&program, process, &child, &ledger, &cancel, &shutdown).await,
            Err(error) => tracing::error!(child.name = program.name, %error, "could not be started"),
        }
        if begun.elapsed() > WELL {
            pause = FIRST_PAUSE;
        }
        let _ = cancel.run_until_cancelled(tokio::time::sleep(pause)).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

async fn start(program: &Program, ledger: &Ledger) -> io::Result<(Process, Child)> {
    let log = open_log(&program.log)?;
    let mut process = Command::new("/bin/sh")
        .args(["-c", GATE, "sh"])
        .arg(&program.executable)
        .args(&program.arguments)
        .envs(program.environment.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::piped())
        .stdout(log.try_clone()?)
        .stderr(log)
        .process_group(0) // Ctrl-C on the terminal is for this process, which stops its children in order
        .kill_on_drop(true)
        .spawn()?;
    let pid = process.id().map_or(0, |pid| pid as i32);
    let child = ledger.note(program.name, pid)?;
    if let Some(mut gate) = process.stdin.take() {
        gate.write_all(b"\n").await?;
    }
    tracing::info!(child.name = program.name, child.pid = pid, "started");
    Ok((process, child))
}

async fn run(
    program: &Program,
    mut process: Process,
    child: &Child,
    ledger: &Ledger,
    cancel: &CancellationToken,
    shutdown: &Shutdown,
) {
    let ended = tokio::select! {
        status = process.wait() => Some(status),
        () = cancel.cancelled() => None,
    };
    match ended {
        Some(status) => {
            let how = status.map_or_else(|e| e.to_string(), |status| status.to_string());
            tracing::warn!(child.name = program.name, child.pid = child.pid, how, log = %program.log.display(),
                "ended by itself; restarting it");
        }
        None => stop(program, &mut process, child, shutdown).await,
    }
    if let Err(error) = ledger.forget(child) {
        tracing::warn!(child.name = program.name, %error, "could not be removed from the ledger");
    }
}

async fn stop(program: &Program, process: &mut Process, child: &Child, shutdown: &Shutdown) {
    let gentle = async {
        let (ended, _) = tokio::join!(children::end(child, program.grace), process.wait());
        if let Err(error) = ended {
            tracing::error!(child.name = program.name, %error, "cannot be stopped");
        }
    };
    tokio::select! {
        () = gentle => {}
        () = shutdown.hurry.cancelled() => {
            let _ = process.kill().await; // it may have ended already
        }
    }
    tracing::info!(child.name = program.name, "stopped");
}

fn open_log(path: &Path) -> io::Result<File> {
    if path.metadata().is_ok_and(|log| log.len() > LOG_MAX) {
        std::fs::rename(path, path.with_extension("log.old"))?;
    }
    File::options().create(true).append(true).open(path)
}
