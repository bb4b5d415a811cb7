//! A ledger on disk of the processes that this installation started, so that the next start can end those that
//! outlived a kill.
//!
//! A process is identified by its pid, its start time and the boot id, because pids are reused. A child is
//! recorded before its program runs (it waits at a gate until then), so no kill leaves one that is not in the
//! ledger.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};

use crate::files;

const LOOK_EVERY: Duration = Duration::from_millis(20);
/// How long to wait for the kernel to remove a killed process.
const KILL_WAIT: Duration = Duration::from_secs(5);

/// A process, identified for as long as the machine stays up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Child {
    /// The kind of child: `nats-server` or `controller`.
    pub name: String,
    /// Process id.
    pub pid: i32,
    /// Start time, in clock ticks since boot.
    pub started: u64,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Book {
    boot: String,
    children: Vec<Child>,
}

/// The ledger file and its content.
#[derive(Debug)]
pub struct Ledger {
    path: PathBuf,
    book: Mutex<Book>,
}

impl Ledger {
    /// Opens the file or creates it. Entries of an earlier boot are discarded.
    ///
    /// # Errors
    /// The file cannot be read, or is not a ledger.
    pub fn open(path: impl Into<PathBuf>) -> io::Result<Self> {
        let (path, boot) = (path.into(), boot()?);
        let book = match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice::<Book>(&bytes)?,
            Err(e) if e.kind() == io::ErrorKind::NotFound => Book::default(),
            Err(e) => return Err(e),
        };
        let book = if book.boot == boot { book } else { Book { boot, children: Vec::new() } };
        Ok(Self { path, book: Mutex::new(book) })
    }

    /// Records a running process.
    ///
    /// # Errors
    /// The process has ended already, or the file cannot be written.
    pub fn note(&self, name: &str, pid: i32) -> io::Result<Child> {
        let started = started(pid).ok_or_else(|| io::Error::other(format!("{name} ended at once")))?;
        let child = Child { name: name.to_owned(), pid, started };
        let mut book = self.book();
        book.children.push(child.clone());
        self.write(&book)?;
        Ok(child)
    }

    /// Removes a process that has ended.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn forget(&self, child: &Child) -> io::Result<()> {
        let mut book = self.book();
        book.children.retain(|other| other != child);
        self.write(&book)
    }

    /// The recorded processes.
    #[must_use]
    pub fn children(&self) -> Vec<Child> {
        self.book().children.clone()
    }

    /// Ends every recorded process that is still alive, the last started first, and returns those.
    ///
    /// # Errors
    /// The file cannot be written, or a process survives SIGKILL.
    pub async fn end_leftovers(&self, grace: Duration) -> io::Result<Vec<Child>> {
        let mut ended = Vec::new();
        for child in self.children().into_iter().rev() {
            if alive(&child) {
                end(&child, grace).await?;
                ended.push(child.clone());
            }
            self.forget(&child)?;
        }
        Ok(ended)
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, book: &Book) -> io::Result<()> {
        files::replace(&self.path, &serde_json::to_vec_pretty(book)?)
    }
}

/// Whether the pid still belongs to the recorded process.
#[must_use]
pub fn alive(child: &Child) -> bool {
    started(child.pid) == Some(child.started)
}

/// Sends SIGTERM, and SIGKILL after `grace`.
///
/// # Errors
/// The process survives SIGKILL.
pub async fn end(child: &Child, grace: Duration) -> io::Result<()> {
    signal(child, Signal::TERM);
    if gone(child, grace).await {
        return Ok(());
    }
    signal(child, Signal::KILL);
    if gone(child, KILL_WAIT).await {
        return Ok(());
    }
    Err(io::Error::other(format!("{} (pid {}) cannot be ended", child.name, child.pid)))
}

/// Signals through a pidfd; the start time is compared once it is open, so that a reused pid is never signalled.
fn signal(child: &Child, signal: Signal) {
    let Some(handle) = Pid::from_raw(child.pid).and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok()) else {
        return;
    };
    if alive(child) {
        let _ = pidfd_send_signal(handle, signal); // it may have just ended, which is fine
    }
}

async fn gone(child: &Child, within: Duration) -> bool {
    let looked = async {
        while alive(child) {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    tokio::time::timeout(within, looked).await.is_ok()
}

/// Start time of a running process; `None` if it has ended or is a zombie.
fn started(pid: i32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name may contain spaces and brackets, so count from the last bracket: state is field 3, start time 22.
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    let state = fields.next()?;
    if state == "Z" || state == "X" {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

fn boot() -> io::Result<String> {
    Ok(fs::read_to_string(Path::new("/proc/sys/kernel/random/boot_id"))?.trim().to_owned())
}
