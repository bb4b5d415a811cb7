//! The data folder of `streamspace dev`, used by one process at a time.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::failure::{Failure, Kind};
use crate::files;

/// Ports for nats-server. One is chosen at random, so that two installations rarely collide, and kept.
const NATS_PORTS: std::ops::Range<u16> = 14_222..18_222;

/// The locked folder. The kernel releases the lock if the process is killed.
#[derive(Debug)]
pub(super) struct Folder {
    pub(super) path: PathBuf,
    _lock: File,
}

impl Folder {
    /// Locks the folder, creating it if necessary.
    pub(super) fn take(path: &Path) -> Result<Self, Failure> {
        let unusable = |e: io::Error| {
            let message = format!("the data folder {} cannot be used: {e}", path.display());
            Failure::usage(message).hint("choose a writable folder with --data-dir")
        };
        // Secrets and users' files live here; an existing folder keeps its permissions.
        fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(unusable)?;
        let path = fs::canonicalize(path).map_err(unusable)?; // children run in other working directories
        let mut lock =
            File::options().create(true).read(true).append(true).open(path.join("lock")).map_err(unusable)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(in_use(&path, &mut lock)),
            Err(TryLockError::Error(e)) => return Err(unusable(e)),
        }
        lock.set_len(0).and_then(|()| writeln!(lock, "{}", std::process::id())).map_err(unusable)?;
        for name in ["nats", "local", "logs"] {
            fs::create_dir_all(path.join(name)).map_err(unusable)?;
        }
        Ok(Self { path, _lock: lock })
    }

    pub(super) fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    pub(super) fn database_url(&self) -> String {
        format!("sqlite://{}?mode=rwc", escaped(&self.join("streamspace.db")))
    }
}

fn in_use(path: &Path, lock: &mut File) -> Failure {
    let mut owner = String::new();
    let _ = lock.read_to_string(&mut owner); // only improves the message
    let owner = owner.trim();
    let owner = if owner.is_empty() { String::new() } else { format!(" (pid {owner})") };
    let message = format!("the data folder {} is in use by another `streamspace dev`{owner}", path.display());
    Failure::new(Kind::Conflict, message).hint("stop that one, or choose another --data-dir and --http-addr")
}

/// Percent-encodes a path for a URL.
fn escaped(path: &Path) -> String {
    path.to_string_lossy().replace('%', "%25").replace('?', "%3F").replace('#', "%23")
}

/// Secrets that are generated once and kept.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Secrets {
    pub(super) admin_token: String,
    pub(super) nats_user: String,
    pub(super) nats_password: String,
    pub(super) nats_port: u16,
}

impl Secrets {
    const FILE: &str = "secrets";

    /// Reads or generates the secrets of this folder. The port changes only if another process uses it.
    pub(super) fn of(folder: &Folder) -> Result<Self, Failure> {
        let path = folder.join(Self::FILE);
        let known = match fs::read(&path) {
            Ok(bytes) => Some(serde_json::from_slice::<Self>(&bytes).map_err(|e| {
                Failure::because(Kind::Failed, &path.display().to_string(), &e)
                    .hint("delete that file; a new token will be generated")
            })?),
            Err(e) if e.kind() == io::ErrorKind::NotFound => None,
            Err(e) => return Err(Failure::because(Kind::Failed, &path.display().to_string(), &e)),
        };
        let mut secrets = known.unwrap_or_else(|| Self {
            admin_token: format!("ss_{}", random()),
            nats_user: "streamspace".into(),
            nats_password: random(),
            nats_port: 0,
        });
        if !free(secrets.nats_port) {
            secrets.nats_port = free_port()?;
        }
        secrets.keep(folder)?;
        Ok(secrets)
    }

    /// The same with another port, after a collision.
    pub(super) fn elsewhere(&self, folder: &Folder) -> Result<Self, Failure> {
        let secrets = Self { nats_port: free_port()?, ..self.clone() };
        secrets.keep(folder)?;
        Ok(secrets)
    }

    fn keep(&self, folder: &Folder) -> Result<(), Failure> {
        Ok(files::replace(&folder.join(Self::FILE), &serde_json::to_vec_pretty(self)?)?)
    }
}

fn random() -> String {
    rand::random::<[u8; 24]>().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn free(port: u16) -> bool {
    port != 0 && TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).is_ok()
}

fn free_port() -> Result<u16, Failure> {
    let anywhere = std::iter::repeat_with(|| rand::random_range(NATS_PORTS)).take(100);
    anywhere.chain(NATS_PORTS).find(|port| free(*port)).ok_or_else(|| {
        let message = format!("no port of {} to {} is free for nats-server", NATS_PORTS.start, NATS_PORTS.end - 1);
        Failure::new(Kind::Unavailable, message)
            .hint("stop the processes that listen there, or set NATS_URL to your own server")
    })
}

/// What a client needs to know, stored in `endpoints.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Endpoints {
    pub(crate) http: String,
    pub(crate) nats: String,
    #[serde(default)]
    pub(crate) nats_user: Option<String>,
    #[serde(default)]
    pub(crate) nats_password: Option<String>,
    pub(crate) admin_token: String,
}

impl Endpoints {
    const FILE: &str = "endpoints.json";

    pub(super) fn write(&self, folder: &Folder) -> Result<(), Failure> {
        Ok(files::replace(&folder.join(Self::FILE), &serde_json::to_vec_pretty(self)?)?)
    }

    /// Reads the endpoints of a folder; `None` if there are none.
    pub(crate) fn read(folder: &Path) -> Result<Option<Self>, Failure> {
        let path = folder.join(Self::FILE);
        let failed = |e: &dyn std::error::Error| {
            Failure::because(Kind::Usage, &path.display().to_string(), e).hint("use --server and --token instead")
        };
        match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|e| failed(&e)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(failed(&e)),
        }
    }
}
