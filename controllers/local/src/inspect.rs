//! What people may ask of what is kept here: the end of a log, and the persistent homes.

use std::{
    fs::{self, File},
    io::{self, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use rustix::{
    fs::{Mode, OFlags, open},
    io::Errno,
};
use streams::wire::{Failure, HOME_SESSIONS_MAX, HOMES_MAX, Home, LogEnd, Scope};
use uuid::Uuid;

use super::{Local, Shared, helper::log, homes, remove, scope};
use controllers::driver::{retryable, user_error};

/// Files that are counted for the sizes of all the homes of one answer, and the time that it may take.
const FILES_MAX: usize = 100_000;
const COUNTING_MAX: Duration = Duration::from_secs(5);

fn not_found(what: String) -> Failure {
    user_error("not_found", what).of(Scope::Session)
}

impl Local {
    pub(super) async fn log_end(&self, session: Uuid, bytes: u32) -> Result<LogEnd, Failure> {
        let folder = self.shared.folder(session);
        if !self.sessions().contains_key(&session) {
            return Err(not_found(format!("log of session {session}: it is kept until its session is deleted")));
        }
        blocking(move || end(&folder, u64::from(bytes)).map_err(|e| unreadable(&e))).await
    }

    pub(super) async fn homes_kept(&self, user_id: Option<&str>) -> Result<Vec<Home>, Failure> {
        let (shared, sessions) = (self.shared.clone(), self.home_sessions());
        let user_id = user_id.map(str::to_owned);
        blocking(move || {
            let entries = fs::read_dir(shared.homes.folder()).map_err(|e| unreadable(&e))?.flatten();
            let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
            let asked = |name: &String| {
                !name.starts_with(homes::DOOMED) && (user_id.is_none() || owner(&shared, name) == user_id)
            };
            let mut names = names.filter(asked).collect::<Vec<_>>();
            names.sort_unstable();
            names.truncate(HOMES_MAX + 1); // one more tells that there are others
            let mut count = Count { left: FILES_MAX, until: Instant::now() + COUNTING_MAX };
            Ok(names.into_iter().map(|name| home(&shared, name, &sessions, &mut count)).collect())
        })
        .await
    }

    pub(super) async fn remove_home(&self, name: &str) -> Result<(), Failure> {
        let place = self.shared.homes.place(name);
        if name.is_empty() || name.starts_with('.') || name.contains('/') || !place.is_dir() {
            return Err(not_found(format!("home {name:?}")));
        }
        // No session takes it from here on: it is out of the way under its lock before anything of it is removed. A restart goes on
        // with what is left.
        let doomed = self.shared.homes.folder().join(format!("{}{}", homes::DOOMED, Uuid::new_v4()));
        let users = |home: &Path| {
            self.home_sessions().iter().filter(|(of, _)| of == home).map(|(_, id)| *id).collect::<Vec<_>>()
        };
        self.shared.homes.take_away(&place, &doomed, users)?;
        blocking(move || remove::all(&doomed)).await
    }

    /// Homes that sessions have, whether they run or not.
    fn home_sessions(&self) -> Vec<(PathBuf, Uuid)> {
        let sessions = self.sessions();
        sessions.values().filter_map(|session| Some((session.now().state.home.clone()?, session.id))).collect()
    }
}

/// Whose home that is. A second one of a user is named after the first, with a dot and more behind it.
fn owner(shared: &Shared, name: &str) -> Option<String> {
    shared.users.of_folder(name.split('.').next().unwrap_or_default())
}

fn home(shared: &Shared, name: String, sessions: &[(PathBuf, Uuid)], count: &mut Count) -> Home {
    let place = shared.homes.place(&name);
    let (user_id, bytes) = (owner(shared, &name), count.size(&place));
    let sessions = sessions.iter().filter(|(home, _)| *home == place).map(|(_, id)| *id);
    Home { name, user_id, bytes, sessions: sessions.take(HOME_SESSIONS_MAX).collect() }
}

/// What may still be looked at.
struct Count {
    left: usize,
    until: Instant,
}

impl Count {
    /// Bytes of all files below; `None` where there are too many, or they may not be read. Links are not followed.
    fn size(&mut self, path: &Path) -> Option<u64> {
        self.left = self.left.checked_sub(1).filter(|_| Instant::now() < self.until)?;
        let meta = fs::symlink_metadata(path).ok()?;
        if !meta.is_dir() {
            return Some(meta.len());
        }
        fs::read_dir(path).ok()?.flatten().try_fold(0_u64, |sum, entry| sum.checked_add(self.size(&entry.path())?))
    }
}

/// The last bytes of both files of a log.
fn end(folder: &Path, bytes: u64) -> io::Result<LogEnd> {
    let (current, now) = read_end(&folder.join(log::CURRENT), bytes)?;
    let (mut text, before) = read_end(&folder.join(log::BEFORE), bytes.saturating_sub(current.len() as u64))?;
    text.extend(current);
    Ok(LogEnd { text: String::from_utf8_lossy(&text).into_owned(), kept_bytes: now + before })
}

/// A session that has the same uid can put something else there: a link is not followed, and a pipe not waited for.
fn read_end(path: &Path, most: u64) -> io::Result<(Vec<u8>, u64)> {
    let how = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let mut file = match open(path, how, Mode::empty()) {
        Ok(file) => File::from(file),
        Err(Errno::NOENT) => return Ok((Vec::new(), 0)),
        Err(e) => return Err(e.into()),
    };
    let meta = file.metadata()?;
    if !meta.is_file() {
        return Err(io::Error::other(format!("{} is no file", path.display())));
    }
    file.seek(SeekFrom::Start(meta.len().saturating_sub(most)))?;
    let mut bytes = Vec::new();
    file.take(most).read_to_end(&mut bytes)?;
    Ok((bytes, meta.len()))
}

fn unreadable(error: &io::Error) -> Failure {
    retryable("state_folder", error.to_string()).of(scope::of(error, Scope::Session))
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Failure> + Send + 'static) -> Result<T, Failure> {
    let broken = |e: tokio::task::JoinError| Err(retryable("state_folder", e.to_string()).of(Scope::Session));
    tokio::task::spawn_blocking(work).await.unwrap_or_else(broken)
}
