//! The users of this world: the name of each one's folder and, where the controller is root, a uid of the machine that is
//! that user's alone.
//!
//! A uid is written down before anything is owned by it, and is never given to somebody else, also after the user's home was
//! deleted: a file or a process that was overlooked never comes into other hands.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::state;

const FILE: &str = "users.json";
/// Above everything that distributions, systemd and subordinate ids give out.
const FIRST_UID: u32 = 1_900_000_000;
/// Users of one world, and worlds of one machine that have uids of their own.
const USERS: u32 = 10_000;
const WORLDS: u32 = 10_000;

#[derive(Debug, Clone, Serialize, Deserialize)]
struct User {
    user_id: String,
    #[serde(default)]
    uid: Option<u32>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Book {
    /// Uids that were ever given out.
    given: u32,
    /// By the name of the user's folder.
    users: BTreeMap<String, User>,
}

pub(super) struct Users {
    path: PathBuf,
    first: u32,
    book: Mutex<Book>,
}

/// The folder's name: a user id may be anything, and is nobody's business who can list folders.
pub(super) fn folder_name(user_id: &str) -> String {
    Sha256::digest(user_id.as_bytes()).iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

impl Users {
    /// Those of a state folder. A file that cannot be read is an error: giving out uids anew would give files to strangers.
    pub(super) fn open(state_dir: &Path, world_id: Uuid) -> io::Result<Self> {
        let path = state_dir.join(FILE);
        let book = match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes)?,
            Err(e) if e.kind() == io::ErrorKind::NotFound => Book::default(),
            Err(e) => return Err(e),
        };
        let world = (world_id.as_u128() % u128::from(WORLDS)) as u32;
        Ok(Self { path, first: FIRST_UID + world * USERS, book: Mutex::new(book) })
    }

    /// The name of a user's folder, and a uid if `with_uid`; both are on disk when this answers.
    pub(super) fn enter(&self, user_id: &str, with_uid: bool) -> io::Result<(String, Option<u32>)> {
        let name = folder_name(user_id);
        let mut book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        let known = book.users.get(&name).cloned();
        if let Some(user) = known.as_ref().filter(|user| !with_uid || user.uid.is_some()) {
            return Ok((name, user.uid.filter(|_| with_uid)));
        }
        let (mut given, mut uid) = (book.given, known.and_then(|user| user.uid));
        if with_uid && uid.is_none() {
            if given >= USERS {
                return Err(io::Error::other(format!("all {USERS} uids of this state folder are given out")));
            }
            (uid, given) = (Some(self.first + given), given + 1);
        }
        let mut users = book.users.clone();
        users.insert(name.clone(), User { user_id: user_id.to_owned(), uid });
        let next = Book { given, users };
        state::replace(&self.path, &serde_json::to_vec_pretty(&next)?)?;
        *book = next;
        Ok((name, uid))
    }

    /// Whose folder that is; `None` where it was made before names were kept.
    pub(super) fn of_folder(&self, name: &str) -> Option<String> {
        let book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        book.users.get(name).map(|user| user.user_id.clone())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a test fails by panicking

    use super::*;

    #[test]
    fn a_user_keeps_its_uid_and_nobody_else_gets_it() {
        let folder = tempfile::tempdir().unwrap();
        let open = || Users::open(folder.path(), Uuid::nil()).unwrap();
        let ann = open().enter("ann", true).unwrap();
        let bob = open().enter("bob", true).unwrap();
        assert_ne!(ann, bob);
        assert_eq!(open().enter("ann", true).unwrap(), ann);
        assert_eq!(open().enter("cid", false).unwrap().1, None);
        let cid = open().enter("cid", true).unwrap().1.unwrap();
        assert!(Some(cid) != ann.1 && Some(cid) != bob.1);
    }

    #[test]
    fn a_damaged_book_is_an_error_and_no_new_book() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(FILE), "{").unwrap();
        assert!(Users::open(folder.path(), Uuid::nil()).is_err());
    }
}
