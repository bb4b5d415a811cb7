//! Where sessions keep what their users write, and which session uses which home.
//!
//! A scratch home is in the session's folder and goes with the session. A persistent home is the user's: it is in `homes/`,
//! under a name made from the user's id, and outlives every session. One session at a time uses it, unless the template
//! permits more.

use std::{
    collections::HashMap,
    fs, io,
    os::unix::fs::{MetadataExt, lchown},
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use streams::wire::{Failure, Scope};
use uuid::Uuid;

use super::{remove, scope, state};
use controllers::driver::{retryable, user_error};

/// How the name of a home begins that is being removed.
pub(super) const DOOMED: &str = ".removed-";

/// Homes in use: by whom, and whether its template shares it.
pub(super) struct Homes {
    folder: PathBuf,
    used: Mutex<HashMap<PathBuf, HashMap<Uuid, bool>>>,
}

impl Homes {
    pub(super) fn new(state_dir: &Path) -> Self {
        Self { folder: state_dir.join("homes"), used: Mutex::default() }
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The persistent home under a user's name.
    pub(super) fn place(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn used(&self) -> MutexGuard<'_, HashMap<PathBuf, HashMap<Uuid, bool>>> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a home for a session, until it is released.
    pub(super) fn claim(&self, home: &Path, session: Uuid, shared: bool) -> Result<(), Failure> {
        let mut used = self.used();
        let users = used.entry(home.to_owned()).or_default();
        let other = users.iter().find(|(id, shares)| **id != session && !(shared && **shares));
        if let Some((other, _)) = other {
            let message = format!(
                "the persistent home of this user is in use by session {other}: hibernate or delete that one, create this \
                 one without a persistent home, or use templates that say `spec.local.home: {{ shared: true }}`"
            );
            return Err(user_error("home_in_use", message).of(Scope::Session));
        }
        users.insert(session, shared);
        Ok(())
    }

    pub(super) fn release(&self, session: Uuid) {
        self.used().retain(|_, users| {
            users.remove(&session);
            !users.is_empty()
        });
    }

    /// Moves a home out of every session's reach, unless one has it: `holders` are those that do not run, too.
    pub(super) fn take_away(
        &self,
        home: &Path,
        to: &Path,
        holders: impl Fn(&Path) -> Vec<Uuid>,
    ) -> Result<(), Failure> {
        let used = self.used();
        let mut by = holders(home);
        by.extend(used.get(home).into_iter().flat_map(HashMap::keys));
        if let Some(session) = by.first() {
            let message = format!("session {session} has this home: delete that session first");
            return Err(user_error("home_in_use", message).of(Scope::Session));
        }
        fs::rename(home, to).map_err(|e| failed(home, &e))
    }

    /// Goes on with removals that the last run began.
    pub(super) fn finish_removals(&self) {
        let doomed = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let doomed = doomed.filter(|entry| entry.file_name().as_encoded_bytes().starts_with(DOOMED.as_bytes()));
        let doomed = doomed.map(|entry| entry.path()).collect::<Vec<_>>();
        if doomed.is_empty() {
            return;
        }
        tokio::task::spawn_blocking(move || {
            for path in doomed {
                if let Err(error) = remove::all(&path) {
                    tracing::warn!(error = error.message, "a home that was deleted cannot be removed");
                }
            }
        });
    }

    /// Makes a home, and gives it to its owner with everything in it: it may be older than the owner's uid.
    pub(super) fn make(&self, home: &Path, uid: Option<u32>) -> Result<(), Failure> {
        let made = || -> io::Result<()> {
            state::private_folder(home, 0o700)?;
            match uid {
                Some(uid) if fs::symlink_metadata(home)?.uid() != uid => give(home, uid),
                _ => Ok(()),
            }
        };
        made().map_err(|e| failed(home, &e))
    }

    /// Makes a session's own folder the user's persistent home, or one more of them where there is one: homes that were made
    /// before they outlived sessions are kept as well.
    pub(super) fn keep(&self, home: &Path, name: &str, session: Uuid) -> io::Result<()> {
        if !home.exists() {
            return Ok(());
        }
        let place = self.place(name);
        let place = if place.exists() { self.place(&format!("{name}.{session}")) } else { place };
        fs::rename(home, place)
    }
}

fn failed(home: &Path, error: &io::Error) -> Failure {
    retryable("home", format!("{}: {error}", home.display())).of(scope::of(error, Scope::Session))
}

/// The top last: it is what tells that all of it was given.
fn give(path: &Path, uid: u32) -> io::Result<()> {
    if fs::symlink_metadata(path)?.is_dir() {
        for entry in fs::read_dir(path)? {
            give(&entry?.path(), uid)?;
        }
    }
    lchown(path, Some(uid), Some(uid))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_home_is_used_by_one_session_unless_all_of_them_share_it() {
        let (homes, home) = (Homes::new(Path::new("/x")), PathBuf::from("/x/homes/a"));
        let (one, two) = (Uuid::from_u128(1), Uuid::from_u128(2));
        assert!(homes.claim(&home, one, false).is_ok());
        assert!(homes.claim(&home, one, false).is_ok());
        let refused = homes.claim(&home, two, true);
        assert!(
            refused.is_err_and(|e| e.code == "home_in_use" && e.user_error && e.message.contains(&one.to_string()))
        );
        homes.release(one);
        assert!(homes.claim(&home, two, true).is_ok());
        assert!(homes.claim(&home, one, true).is_ok());
        assert!(homes.claim(&home, Uuid::from_u128(3), false).is_err());
    }
}
