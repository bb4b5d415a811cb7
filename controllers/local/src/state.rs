//! What the driver knows of one session, as it stands in the session's folder.
//!
//! The file is replaced whole (write aside, fsync, rename, fsync of the folder), so a reader finds the old state or the new
//! one. It is written in place, without a trip to another thread: it is small, and a write that outlived its cancelled
//! caller could overtake a later one.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::{Deserialize, Serialize};
use streams::limits::json;
use streams::wire::{Failure, Resources, SessionState};
use uuid::Uuid;

use super::{members::value, plan::USER_ID};
use controllers::driver::{Observed, Spec};

const FILE: &str = "state.json";

/// Where a session stands, and what was being done to it if the controller died.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Phase {
    Starting,
    Running,
    Hibernating,
    Hibernated,
    Deleting,
    Failed,
}

impl Phase {
    const fn state(self) -> SessionState {
        match self {
            Self::Starting => SessionState::Creating,
            Self::Running => SessionState::Running,
            Self::Hibernating => SessionState::Hibernating,
            Self::Hibernated => SessionState::Hibernated,
            Self::Deleting => SessionState::Deleting,
            Self::Failed => SessionState::Failed,
        }
    }
}

/// One process for as long as the machine is up: pids come again, a pid with its start time does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct Identity {
    pub(super) pid: i32,
    /// Clock ticks since boot, field 22 of `/proc/<pid>/stat`.
    pub(super) started: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct State {
    pub(super) session_id: Uuid,
    pub(super) user_id: String,
    pub(super) generation: i64,
    pub(super) phase: Phase,
    /// Kept while hibernated, so that it wakes where it was.
    #[serde(default)]
    pub(super) port: Option<u16>,
    #[serde(default)]
    pub(super) process: Option<Identity>,
    #[serde(default)]
    pub(super) spec: Option<Arc<Spec>>,
    #[serde(default)]
    pub(super) failure: Option<Failure>,
    /// Where its home is, from its first start on.
    #[serde(default)]
    pub(super) home: Option<PathBuf>,
    /// Who its processes are, where that is not the controller's own user.
    #[serde(default)]
    pub(super) uid: Option<u32>,
    /// What writes its log.
    #[serde(default)]
    pub(super) log_writer: Option<Identity>,
}

impl State {
    /// Of a session that nothing is known about yet.
    pub(super) fn new(session_id: Uuid) -> Self {
        Self {
            session_id,
            user_id: String::new(),
            generation: i64::MIN,
            phase: Phase::Hibernated,
            port: None,
            process: None,
            spec: None,
            failure: None,
            home: None,
            uid: None,
            log_writer: None,
        }
    }

    /// Of a session whose file cannot be read: what its process says of it. No report of it can be newer than one that the
    /// engine has, and the next command brings the rest.
    pub(super) fn salvaged(session_id: Uuid, process: Option<Identity>, environment: &[u8]) -> Self {
        let text = |name| std::str::from_utf8(value(environment, name)?).ok();
        Self {
            user_id: text(USER_ID).unwrap_or_default().to_owned(),
            generation: 0,
            phase: if process.is_some() { Phase::Running } else { Phase::Hibernated },
            port: text("PORT").and_then(|port| port.parse().ok()),
            process,
            home: text("HOME").map(PathBuf::from),
            ..Self::new(session_id)
        }
    }

    pub(super) fn load(folder: &Path) -> io::Result<Self> {
        Ok(json::stored(&fs::read(folder.join(FILE))?)?)
    }

    pub(super) fn save(&self, folder: &Path, mode: u32) -> io::Result<()> {
        private_folder(folder, mode)?;
        replace(&folder.join(FILE), &serde_json::to_vec_pretty(self)?)
    }

    pub(super) fn observed(&self, connections: u32, usage: Option<Resources>) -> Observed {
        let running = self.phase == Phase::Running;
        let url = self.port.filter(|_| running).map(|port| format!("http://127.0.0.1:{port}/"));
        Observed {
            user_id: self.user_id.clone(),
            phase: Some(format!("{:?}", self.phase)),
            url,
            resource_name: self.process.map(|process| format!("process-{}", process.pid)),
            message: self.failure.as_ref().map(|failure| failure.message.clone()),
            resource_usage: usage.filter(|_| running),
            connections: running.then_some(connections),
            failure: self.failure.clone(),
            spec: self.spec.clone(),
            ..Observed::bare(self.session_id, self.generation, self.phase.state())
        }
    }
}

/// Makes a folder with exactly these rights, whatever the umask; one that is there gets them.
pub(super) fn private_folder(folder: &Path, mode: u32) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let now = fs::symlink_metadata(folder)?;
    if now.permissions().mode() & 0o777 != mode {
        fs::set_permissions(folder, fs::Permissions::from_mode(mode))?;
    }
    Ok(())
}

/// Replaces a file so that it survives a loss of power, whole or not at all. Nobody else may read it.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let aside = path.with_extension("new");
    // Half a file would take room that a full disk does not have.
    write(&aside, bytes).and_then(|()| fs::rename(&aside, path)).inspect_err(|_| drop(fs::remove_file(&aside)))?;
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.set_permissions(fs::Permissions::from_mode(0o600))?; // one that a kill left may have others
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a failed assumption is a failed test

    use super::*;

    #[test]
    fn a_state_of_metadata_that_an_older_version_took_however_deep_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let mut metadata = serde_json::json!(1);
        for _ in 0..125 {
            metadata = serde_json::json!({ "a": metadata });
        }
        let metadata = metadata.as_object().cloned().unwrap();
        let spec = Arc::new(Spec { metadata, ..Spec::default() });
        let state = State { spec: Some(spec), ..State::new(Uuid::nil()) };
        state.save(folder.path(), 0o700).unwrap();
        assert_eq!(State::load(folder.path()).unwrap(), state);
    }
}
