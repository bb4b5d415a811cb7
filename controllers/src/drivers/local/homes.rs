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

use streams::wire::Failure;
use uuid::Uuid;

use super::state;
use crate::driver::{retryable, user_error};

/// Homes in use: by whom, and whether its template shares it.
pub(super) struct Homes {
    folder: PathBuf,
    used: Mutex<HashMap<PathBuf, HashMap<Uuid, bool>>>,
}

impl Homes {
    pub(super) fn new(state_dir: &Path) -> Self {
        Self { folder: state_dir.join("homes"), used: Mutex::default() }
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
            return Err(user_error("home_in_use", message));
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

    /// Makes a home, and gives it to its owner with everything in it: it may be older than the owner's uid.
    pub(super) fn make(&self, home: &Path, uid: Option<u32>) -> Result<(), Failure> {
        let made = || -> io::Result<()> {
            state::private_folder(home, 0o700)?;
            match uid {
                Some(uid) if fs::symlink_metadata(home)?.uid() != uid => give(home, uid),
                _ => Ok(()),
            }
        };
        made().map_err(|e| retryable("home", format!("{}: {e}", home.display())))
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
