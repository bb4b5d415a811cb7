//! Removes a folder, whatever its user made of it: what cannot be written is made so, links are never followed, and other
//! file systems are never entered.
//!
//! Every step goes by open folders and single names, so that nothing outside can be put in its way. A tree may be deeper than
//! a path can say or a process can open: what lies deep is moved up first. All that can be removed is, and the first thing
//! that cannot be is named.

use std::{
    ffi::{CStr, CString, OsStr},
    io,
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::{Path, PathBuf},
};

use rustix::{
    fs::{
        AtFlags, Dir, FileType, IFlags, Mode, OFlags, ResolveFlags, fchmod, fstat, ioctl_getflags, ioctl_setflags,
        open, openat, openat2, renameat, statat, unlinkat,
    },
    io::Errno,
};
use streams::wire::{Failure, Scope};
use tokio::runtime::{Handle, RuntimeFlavor};
use uuid::Uuid;

use controllers::driver::retryable;

/// Folders that are open within each other at most.
const DEEP: usize = 32;
/// Rounds over a folder that something else still writes into.
const ROUNDS: usize = 64;

/// Removes it with everything in it; what is not there is removed already.
///
/// # Errors
/// The session's own, with the first path that cannot be removed and why.
pub(super) fn all(folder: &Path) -> Result<(), Failure> {
    blocking(|| removed(folder)).map_err(|Obstacle { path, why }| {
        retryable("not_removed", format!("{} cannot be removed: {why}", path.display())).of(Scope::Session)
    })
}

/// A large home takes its time, and other sessions' work must go on meanwhile.
fn blocking<T>(work: impl FnOnce() -> T) -> T {
    let threads = Handle::try_current().is_ok_and(|handle| handle.runtime_flavor() == RuntimeFlavor::MultiThread);
    if threads { tokio::task::block_in_place(work) } else { work() }
}

/// What stands in the way.
#[derive(Debug)]
struct Obstacle {
    path: PathBuf,
    why: io::Error,
}

fn removed(folder: &Path) -> Result<(), Obstacle> {
    let failed = |why: io::Error| Obstacle { path: folder.to_owned(), why };
    let (Some(parent), Some(name)) = (folder.parent(), folder.file_name()) else {
        return Err(failed(io::ErrorKind::InvalidInput.into()));
    };
    let (parent, name) = match (surroundings(parent), CString::new(name.as_bytes())) {
        (Err(Errno::NOENT), _) => return Ok(()),
        (parent, name) => (parent.map_err(|e| failed(e.into()))?, name.map_err(|e| failed(e.into()))?),
    };
    let mut removal = Removal { top: None, path: folder.to_owned(), moved: 0, first: None };
    match removal.remove(&parent, &name, 0) {
        Ok(_) => Ok(()),
        Err(errno) => Err(removal.first.unwrap_or_else(|| failed(errno.into()))),
    }
}

/// The folder around what is removed: a session can make that, its own, unusable as well.
fn surroundings(folder: &Path) -> Result<OwnedFd, Errno> {
    let opened = |path: &Path| open(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
    match (opened(folder), folder.parent(), folder.file_name()) {
        (Err(Errno::ACCESS), Some(outer), Some(name)) => {
            enter(&opened(outer)?, &CString::new(name.as_bytes()).map_err(|_| Errno::INVAL)?)
        }
        (opened, ..) => opened,
    }
}

/// What became of one entry.
#[derive(PartialEq, Eq)]
enum Done {
    Removed,
    /// It is at the top now, and its turn comes.
    MovedUp,
}

struct Removal {
    /// The folder that is removed.
    top: Option<OwnedFd>,
    /// What is being looked at, for people.
    path: PathBuf,
    moved: u64,
    first: Option<Obstacle>,
}

impl Removal {
    /// Removes one entry of an open folder.
    fn remove(&mut self, folder: &OwnedFd, name: &CStr, depth: usize) -> Result<Done, Errno> {
        let kind = match statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => return Ok(Done::Removed),
            // an entry of a folder that may not be searched
            Err(Errno::ACCESS) => usable(folder).and_then(|()| statat(folder, name, AtFlags::SYMLINK_NOFOLLOW))?,
            found => found?,
        };
        let is_folder = FileType::from_raw_mode(kind.st_mode) == FileType::Directory;
        let how = if is_folder { AtFlags::REMOVEDIR } else { AtFlags::empty() };
        match gone(unlinkat(folder, name, how)) {
            Ok(()) => return Ok(Done::Removed),
            Err(Errno::NOTEMPTY | Errno::EXIST) => {}
            Err(Errno::ACCESS | Errno::PERM) => {
                // The folder does not let go of it, or it has a flag of its own.
                let _ = usable(folder); // what matters is whether it helped
                match gone(unlinkat(folder, name, how)) {
                    Ok(()) => return Ok(Done::Removed),
                    Err(Errno::NOTEMPTY | Errno::EXIST) => {}
                    Err(Errno::PERM) if unflagged(folder, name, is_folder) => {}
                    Err(errno) => return Err(errno),
                }
            }
            Err(errno) => return Err(errno),
        }
        if is_folder && self.empty(folder, name, depth)? == Done::MovedUp {
            return Ok(Done::MovedUp);
        }
        gone(unlinkat(folder, name, how)).map(|()| Done::Removed)
    }

    /// Removes what is in a folder. What cannot be is remembered; removing the folder itself will fail then.
    fn empty(&mut self, parent: &OwnedFd, name: &CStr, depth: usize) -> Result<Done, Errno> {
        let folder = enter(parent, name)?;
        if depth >= DEEP {
            return self.move_up(parent, name);
        }
        if depth == 0 {
            self.top = folder.try_clone().ok();
        }
        for _ in 0..ROUNDS {
            if !self.round(&folder, depth)? {
                break;
            }
        }
        Ok(Done::Removed)
    }

    /// One look at each entry; says whether another one may find more to do.
    fn round(&mut self, folder: &OwnedFd, depth: usize) -> Result<bool, Errno> {
        loop {
            let (mut any, before) = (false, self.moved);
            for entry in Dir::read_from(folder)? {
                let entry = entry?;
                let name = entry.file_name();
                if matches!(name.to_bytes(), b"." | b"..") {
                    continue;
                }
                self.path.push(OsStr::from_bytes(name.to_bytes()));
                match self.remove(folder, name, depth + 1) {
                    Ok(_) => any = true,
                    Err(errno) => {
                        let path = &self.path;
                        self.first.get_or_insert_with(|| Obstacle { path: path.clone(), why: errno.into() });
                    }
                }
                self.path.pop();
            }
            if depth > 0 || self.moved == before {
                return Ok(any); // what was moved up from further down is the top's, and no round of its own
            }
        }
    }

    /// What is too deep goes to the top, so that neither open folders nor recursion have to follow it.
    fn move_up(&mut self, parent: &OwnedFd, name: &CStr) -> Result<Done, Errno> {
        let top = self.top.as_ref().ok_or(Errno::NOENT)?;
        self.moved += 1;
        renameat(parent, name, top, format!(".removed-{}-{}", Uuid::new_v4(), self.moved))?;
        Ok(Done::MovedUp)
    }
}

fn gone(removed: Result<(), Errno>) -> Result<(), Errno> {
    if removed == Err(Errno::NOENT) { Ok(()) } else { removed }
}

/// Opens a folder within another one to be emptied: itself, no link, and on the same mount.
fn enter(parent: &OwnedFd, name: &CStr) -> Result<OwnedFd, Errno> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let folder = match open_within(parent, name, flags | OFlags::RDONLY) {
        Err(Errno::ACCESS) => {
            let _ = usable(parent); // what matters is whether it helped
            let handle = open_within(parent, name, flags | OFlags::PATH)?;
            // By the handle, and so of nothing else, also where the name changes hands in between.
            rustix::fs::chmod(format!("/proc/self/fd/{}", handle.as_raw_fd()), Mode::RWXU)?;
            open_within(parent, name, flags | OFlags::RDONLY)?
        }
        opened => opened?,
    };
    let _ = usable(&folder); // where that is not allowed, its entries say so
    Ok(folder)
}

fn open_within(parent: &OwnedFd, name: &CStr, flags: OFlags) -> Result<OwnedFd, Errno> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_XDEV | ResolveFlags::NO_SYMLINKS;
    match openat2(parent, name, flags, Mode::empty(), resolve) {
        // A kernel, or a filter around it, without this call: file systems are told apart, their mounts are not.
        Err(Errno::NOSYS | Errno::PERM) => {
            let folder = openat(parent, name, flags, Mode::empty())?;
            if fstat(&folder)?.st_dev == fstat(parent)?.st_dev { Ok(folder) } else { Err(Errno::XDEV) }
        }
        opened => opened,
    }
}

/// Lets this process read, write and search a folder of its own.
fn usable(folder: &OwnedFd) -> Result<(), Errno> {
    let flags = ioctl_getflags(folder).unwrap_or(IFlags::empty());
    if flags.intersects(IFlags::IMMUTABLE | IFlags::APPEND) {
        ioctl_setflags(folder, flags - IFlags::IMMUTABLE - IFlags::APPEND)?;
    }
    let mode = Mode::from_raw_mode(fstat(folder)?.st_mode);
    if mode.contains(Mode::RWXU) { Ok(()) } else { fchmod(folder, mode | Mode::RWXU) }
}

/// Takes the flags off a file or folder that forbid its removal; says whether there were any. Other kinds have none.
fn unflagged(folder: &OwnedFd, name: &CStr, is_folder: bool) -> bool {
    let regular = || {
        let found = statat(folder, name, AtFlags::SYMLINK_NOFOLLOW);
        found.is_ok_and(|found| FileType::from_raw_mode(found.st_mode) == FileType::RegularFile)
    };
    if !is_folder && !regular() {
        return false;
    }
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let Ok(entry) = open_within(folder, name, flags) else { return false };
    let flags = ioctl_getflags(&entry).unwrap_or(IFlags::empty());
    let forbids = IFlags::IMMUTABLE | IFlags::APPEND;
    flags.intersects(forbids) && ioctl_setflags(&entry, flags - forbids).is_ok()
}

#[cfg(test)]
#[path = "remove_tests.rs"]
mod tests;
