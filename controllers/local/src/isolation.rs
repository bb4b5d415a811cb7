//! Who a session's processes are on this machine.
//!
//! Where the controller is root, each user has a uid of its own, and a private view of the file system in which there is
//! nothing of the controller's but the user's home. Where the kernel permits no such view (a container without
//! CAP_SYS_ADMIN), the folders that lead to the homes may be walked, but not listed, by others. Where the controller is no
//! root, or neither can be had, sessions are the controller's own user, and that is said.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::{
    Config, OwnUsers,
    helper::{self, Owner},
};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Isolation {
    /// Sessions run as the controller's user.
    None,
    /// Sessions run as users of their own; `cover` hides what is the controller's.
    Users { cover: Option<PathBuf> },
}

impl Isolation {
    /// What can be had here; what cannot is said once, plainly.
    pub(super) fn find(config: &Config) -> Self {
        let found = if config.own_users == OwnUsers::Never {
            Err("it was asked for (own_users: never)".to_owned())
        } else {
            Self::users(config)
        };
        found.unwrap_or_else(|why| {
            tracing::warn!(
                "sessions run as this controller's own user and can read what it can read, also each other's homes: {why}"
            );
            Self::None
        })
    }

    fn users(config: &Config) -> Result<Self, String> {
        if !rustix::process::geteuid().is_root() {
            return Err("only root may give sessions users of their own".into());
        }
        if !uids_exist() {
            return Err("the uids that it would give out do not exist in this user namespace".into());
        }
        let closed = closed_ancestor(&config.state_dir);
        if private_view(config) {
            // The highest folder that others cannot enter hides the most; the state folder itself always is.
            return Ok(Self::Users { cover: Some(closed.unwrap_or_else(|| config.state_dir.clone())) });
        }
        match closed {
            None => Ok(Self::Users { cover: None }),
            Some(folder) => Err(format!(
                "this kernel permits no private view of the file system (CAP_SYS_ADMIN), and {} may not be entered by \
                 others; a state folder elsewhere would do",
                folder.display()
            )),
        }
    }

    pub(super) const fn own_users(&self) -> bool {
        matches!(self, Self::Users { .. })
    }

    /// Mode of the folders between the state folder and the homes.
    pub(super) const fn folder_mode(&self) -> u32 {
        match self {
            Self::Users { cover: None } => 0o711,
            _ => 0o700,
        }
    }

    pub(super) fn owner(&self, uid: Option<u32>, config: &Config) -> Option<Owner> {
        let Self::Users { cover } = self else { return None };
        Some(Owner { uid: uid?, cover: cover.clone(), processes_max: config.processes_max })
    }
}

/// The highest folder above `path` that others may not enter.
fn closed_ancestor(path: &Path) -> Option<PathBuf> {
    let above = path.ancestors().skip(1).collect::<Vec<_>>();
    above.into_iter().rev().find(|folder| !open_to_others(folder)).map(Path::to_owned)
}

fn open_to_others(folder: &Path) -> bool {
    fs::metadata(folder).is_ok_and(|meta| meta.permissions().mode() & 0o001 != 0)
}

/// Whether a user of the machine who is nobody in particular can execute a program.
pub(super) fn reachable(program: &Path) -> bool {
    let whole = |path: &Path| path.ancestors().skip(1).filter(|a| !a.as_os_str().is_empty()).all(open_to_others);
    let real = fs::canonicalize(program);
    open_to_others(program) && whole(program) && real.is_ok_and(|real| whole(&real))
}

fn uids_exist() -> bool {
    let map = fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    let covers = |line: &str| {
        let numbers = line.split_ascii_whitespace().map(str::parse::<u64>).collect::<Result<Vec<_>, _>>();
        matches!(numbers.as_deref(), Ok([first, _, count]) if *first <= 1_900_000_000 && first + count > 2_000_000_000)
    };
    map.lines().any(covers)
}

fn private_view(config: &Config) -> bool {
    let mut probe = Command::new(&config.executable);
    probe.args([helper::WORD, helper::PROBE]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    probe.status().is_ok_and(|status| status.success())
}
