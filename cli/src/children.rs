//! Which processes this installation started, on disk, so that the next start can end those that outlived a kill.
//!
//! A process is known by its pid, the time at which it started, and the boot of the machine: pids come again, the three
//! together do not. A child is written down before its program runs (it waits at a gate until then), so no kill leaves one
//! that nobody knows.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};

use crate::files;

const LOOK_EVERY: Duration = Duration::from_millis(20);
/// A killed process goes when the kernel lets it.
const KILL_PATIENCE: Duration = Duration::from_secs(5);

/// One process for as long as the machine is up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Child {
    /// What it is: `nats-server`, `controller`.
    pub name: String,
    /// Its number.
    pub pid: i32,
    /// Clock ticks between boot and its start.
    pub started: u64,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Book {
    boot: String,
    children: Vec<Child>,
}

/// The file and what is in it.
#[derive(Debug)]
pub struct Ledger {
    path: PathBuf,
    book: Mutex<Book>,
}

impl Ledger {
    /// Opens the file, or begins a new one. A file of an earlier boot names nobody who lives.
    ///
    /// # Errors
    /// Where it cannot be read, or is not one of ours.
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

    /// Writes a living process down.
    ///
    /// # Errors
    /// Where it is gone already, or the file cannot be written.
    pub fn note(&self, name: &str, pid: i32) -> io::Result<Child> {
        let started = started(pid).ok_or_else(|| io::Error::other(format!("{name} ended at once")))?;
        let child = Child { name: name.to_owned(), pid, started };
        let mut book = self.book();
        book.children.push(child.clone());
        self.write(&book)?;
        Ok(child)
    }

    /// Strikes a process out that has ended.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn forget(&self, child: &Child) -> io::Result<()> {
        let mut book = self.book();
        book.children.retain(|other| other != child);
        self.write(&book)
    }

    /// Who is written down.
    #[must_use]
    pub fn children(&self) -> Vec<Child> {
        self.book().children.clone()
    }

    /// Ends everybody who is written down and still lives, last started first, and answers who that was.
    ///
    /// # Errors
    /// Where the file cannot be written, or somebody would not go.
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

/// Whether it is still that process.
#[must_use]
pub fn alive(child: &Child) -> bool {
    started(child.pid) == Some(child.started)
}

/// Asks a process to end, and after `grace` ends it.
///
/// # Errors
/// Where it lives on after all.
pub async fn end(child: &Child, grace: Duration) -> io::Result<()> {
    signal(child, Signal::TERM);
    if gone(child, grace).await {
        return Ok(());
    }
    signal(child, Signal::KILL);
    if gone(child, KILL_PATIENCE).await {
        return Ok(());
    }
    Err(io::Error::other(format!("{} (pid {}) cannot be ended", child.name, child.pid)))
}

/// Through a handle that is of this process and no other: the start time is compared after the handle is there.
fn signal(child: &Child, signal: Signal) {
    let Some(handle) = Pid::from_raw(child.pid).and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok()) else {
        return;
    };
    if alive(child) {
        let _ = pidfd_send_signal(handle, signal); // it may have ended just now, which is what is wanted
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

/// When a living process started; `None` for the dead, and for those that only wait to be reaped.
fn started(pid: i32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name may hold spaces and brackets, so count from the last bracket: state is field 3, start time 22.
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
