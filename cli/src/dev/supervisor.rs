//! Keeps a program running: starts it, waits for its end, starts it again after a while, and ends it when asked.

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

/// The child waits for a line before it becomes the program: by then it is written down. If this process dies before that,
/// the pipe closes and the child ends.
const GATE: &str = r#"read -r _ && exec "$@""#;
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// A program that ran this long had started well: the next pause is a short one again.
const WELL: Duration = Duration::from_secs(30);
/// A log larger than this is put aside when its program starts.
const LOG_MAX: u64 = 10 << 20;

/// What to keep running.
#[derive(Debug, Clone)]
pub(super) struct Program {
    pub(super) name: &'static str,
    pub(super) executable: PathBuf,
    pub(super) arguments: Vec<String>,
    pub(super) environment: Vec<(&'static str, String)>,
    /// Where it writes; appended to.
    pub(super) log: PathBuf,
    /// How long it may take to end by itself.
    pub(super) grace: Duration,
}

/// Keeps a program running until `cancel`; then it has ended, or cannot be ended.
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
        .process_group(0) // Ctrl-C on the terminal is for us: we end our children in order
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
                "ended by itself; starting it again");
        }
        None => stop(program, &mut process, child, shutdown).await,
    }
    if let Err(error) = ledger.forget(child) {
        tracing::warn!(child.name = program.name, %error, "could not be struck out");
    }
}

async fn stop(program: &Program, process: &mut Process, child: &Child, shutdown: &Shutdown) {
    let gentle = async {
        let (ended, _) = tokio::join!(children::end(child, program.grace), process.wait());
        if let Err(error) = ended {
            tracing::error!(child.name = program.name, %error, "lives on");
        }
    };
    tokio::select! {
        () = gentle => {}
        () = shutdown.hurry.cancelled() => {
            let _ = process.kill().await; // it is gone already
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
