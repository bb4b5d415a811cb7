//! A private view of the file system: a session sees its own home, and nothing else of the controller's.
//!
//! In a mount namespace of its own an empty folder covers what the controller keeps, and the session's home is bound to its
//! place in there again. So all of it can stay closed to others (0700), also folders above it.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::ExitCode,
};

use nix::{
    fcntl::{OFlag, open},
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
    sys::stat::Mode,
};
use std::os::fd::AsRawFd;

/// Enough for the folders that lead to a home.
const COVER: &str = "mode=0755,size=64k,nr_inodes=1k";

fn separate() -> nix::Result<()> {
    unshare(CloneFlags::CLONE_NEWNS)?;
    // What is mounted outside later still appears in here; nothing of here appears outside.
    mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_SLAVE, None::<&str>)
}

fn cover(place: &Path) -> nix::Result<()> {
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(Some("tmpfs"), place, Some("tmpfs"), flags, Some(COVER))
}

/// Covers `cover_at` and binds `homes`, which lie below it, to their places again.
pub(super) fn enter(cover_at: &Path, homes: &[PathBuf]) -> io::Result<()> {
    let folder = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    separate()?; // first: what was opened outside cannot be bound in here
    let handles = homes.iter().map(|home| open(home, folder, Mode::empty())).collect::<Result<Vec<_>, _>>()?;
    cover(cover_at)?;
    for (home, handle) in homes.iter().zip(&handles) {
        fs::create_dir_all(home)?;
        let source = format!("/proc/self/fd/{}", handle.as_raw_fd());
        mount(Some(source.as_str()), home, None::<&str>, MsFlags::MS_BIND, None::<&str>)?;
    }
    Ok(())
}

/// Whether this process may do so: it needs CAP_SYS_ADMIN, which root in a container often has not.
pub(super) fn probe() -> ExitCode {
    match separate().and_then(|()| cover(Path::new("/proc"))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
