//! The folder of `nats-config`: which users exist, their seeds, and the server's configuration.
//!
//! `users.json` holds settings and public keys, a `.nk` file per user its seed, and `nats-server.conf` what the server reads;
//! it is written from `users.json` after each change. All files are private. Seeds may be moved to where they are used.

use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use streams::ids::{ControllerId, Platform};
use streams::nkey;
use streams::permissions::Role;
use streams::server::{Config, Login, Tls, User, text};

use crate::failure::{Failure, Kind};
use crate::files;

const USERS: &str = "users.json";
const CONF: &str = "nats-server.conf";
/// Keys of a user that are good at the same time: the present one, and the one before until it is retired.
const KEYS: usize = 2;

/// What `users.json` holds.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Users {
    /// `None` in the folder of `dev`, which writes its own configuration.
    #[serde(default)]
    pub(super) server: Option<Server>,
    /// Public keys, newest first.
    engine: Vec<String>,
    #[serde(default)]
    controllers: Vec<Controller>,
}

/// Settings of the server.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Server {
    pub(super) listen: String,
    pub(super) store_dir: PathBuf,
    pub(super) sync_interval: Option<String>,
    pub(super) max_file_store: u64,
    pub(super) tls_cert: Option<PathBuf>,
    pub(super) tls_key: Option<PathBuf>,
    pub(super) tls_client_ca: Option<PathBuf>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Controller {
    platform: Platform,
    id: ControllerId,
    keys: Vec<String>,
}

/// Whose key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Holder {
    Engine,
    Controller(Platform, ControllerId),
}

impl Holder {
    fn role(&self) -> Role {
        match self {
            Self::Engine => Role::Engine,
            Self::Controller(platform, id) => Role::Controller(platform.clone(), id.clone()),
        }
    }

    /// Name of its seed file. Neither a platform nor an id has an underscore.
    fn file(&self) -> String {
        match self {
            Self::Engine => "engine.nk".into(),
            Self::Controller(platform, id) => format!("controller_{platform}_{id}.nk"),
        }
    }
}

impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Engine => f.write_str("engine"),
            Self::Controller(platform, id) => write!(f, "controller {id} of platform {platform}"),
        }
    }
}

/// The folder, locked against another process that changes it.
#[derive(Debug)]
pub(crate) struct Keys {
    folder: PathBuf,
    users: Users,
    _lock: File,
}

impl Keys {
    /// Makes the folder with a key for the engine; one that exists is kept as it is if `again`, and refused otherwise.
    pub(crate) fn create(folder: &Path, server: Option<Server>, again: bool) -> Result<Self, Failure> {
        let unusable = |e: io::Error| unusable(folder, &e);
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(unusable)?;
        if folder.join(USERS).exists() {
            let known = Self::open(folder)?;
            return if again { Ok(known) } else { Err(exists(folder)) };
        }
        let lock = lock(folder)?;
        let users = Users { server, engine: Vec::new(), controllers: Vec::new() };
        let mut keys = Self { folder: folder.to_owned(), users, _lock: lock };
        keys.rotate(&Holder::Engine)?;
        Ok(keys)
    }

    /// Opens a folder that [`Self::create`] made.
    pub(crate) fn open(folder: &Path) -> Result<Self, Failure> {
        if !folder.join(USERS).exists() {
            let message = format!("{} holds no {USERS}", folder.display());
            return Err(
                Failure::usage(message).hint("make it with `streamspace nats-config init`, or name it with --dir")
            );
        }
        let lock = lock(folder)?;
        let bytes = fs::read(folder.join(USERS)).map_err(|e| unusable(folder, &e))?;
        let users = serde_json::from_slice(&bytes).map_err(|e| unusable(&folder.join(USERS), &e))?;
        Ok(Self { folder: folder.to_owned(), users, _lock: lock })
    }

    /// Adds a controller, and writes its seed file; false if it exists.
    pub(crate) fn add(&mut self, platform: &Platform, id: &ControllerId) -> Result<bool, Failure> {
        if self.users.controllers.iter().any(|one| one.platform == *platform && one.id == *id) {
            return Ok(false);
        }
        let new = Controller { platform: platform.clone(), id: id.clone(), keys: Vec::new() };
        self.users.controllers.push(new);
        self.rotate(&Holder::Controller(platform.clone(), id.clone()))?;
        Ok(true)
    }

    /// Gives a user a new key. The one before stays good until it is retired.
    pub(crate) fn rotate(&mut self, holder: &Holder) -> Result<(), Failure> {
        let (seed, public) = nkey::generate().map_err(|e| Failure::because(Kind::Failed, "nats-config", &e))?;
        let keys = self.keys(holder)?;
        keys.insert(0, public);
        keys.truncate(KEYS);
        // the server learns of the key before anyone can use it
        self.save()?;
        files::replace(&self.seed_file(holder), format!("{}\n", seed.expose()).as_bytes())?;
        Ok(())
    }

    /// Ends all keys of a user but the newest; returns how many.
    pub(super) fn retire(&mut self, holder: &Holder) -> Result<usize, Failure> {
        let keys = self.keys(holder)?;
        let old = keys.len().saturating_sub(1);
        keys.truncate(1);
        self.save()?;
        Ok(old)
    }

    /// Ends all keys of a controller, and removes its seed file.
    pub(super) fn revoke(&mut self, platform: &Platform, id: &ControllerId) -> Result<(), Failure> {
        let holder = Holder::Controller(platform.clone(), id.clone());
        self.keys(&holder)?;
        self.users.controllers.retain(|one| one.platform != *platform || one.id != *id);
        self.save()?;
        match fs::remove_file(self.seed_file(&holder)) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e.into()), // it may have been moved to its host
            _ => Ok(()),
        }
    }

    /// All users with their keys, newest first.
    pub(super) fn holders(&self) -> Vec<(Holder, Vec<String>)> {
        let controllers = self.users.controllers.iter();
        let controllers =
            controllers.map(|one| (Holder::Controller(one.platform.clone(), one.id.clone()), one.keys.clone()));
        std::iter::once((Holder::Engine, self.users.engine.clone())).chain(controllers).collect()
    }

    /// All users, for the server.
    pub(crate) fn users(&self) -> Vec<User> {
        let user = |holder: &Holder, key: String| User { login: Login::Nkey(key), role: Some(holder.role()) };
        self.holders()
            .into_iter()
            .flat_map(|(holder, keys)| keys.into_iter().map(move |key| user(&holder, key)))
            .collect()
    }

    /// Where the seed of a user is.
    pub(crate) fn seed_file(&self, holder: &Holder) -> PathBuf {
        self.folder.join(holder.file())
    }

    /// Where the server's configuration is.
    pub(super) fn conf(&self) -> PathBuf {
        self.folder.join(CONF)
    }

    fn keys(&mut self, holder: &Holder) -> Result<&mut Vec<String>, Failure> {
        match holder {
            Holder::Engine => Ok(&mut self.users.engine),
            Holder::Controller(platform, id) => {
                let known = self.users.controllers.iter_mut().find(|one| one.platform == *platform && one.id == *id);
                known.map(|one| &mut one.keys).ok_or_else(|| {
                    Failure::new(Kind::NotFound, format!("there is no {holder}"))
                        .hint("`streamspace nats-config list` shows all")
                })
            }
        }
    }

    /// Writes the users, and the configuration from them.
    fn save(&self) -> Result<(), Failure> {
        files::replace(&self.folder.join(USERS), &serde_json::to_vec_pretty(&self.users)?)?;
        let Some(server) = &self.users.server else { return Ok(()) };
        let head = "# Written by `streamspace nats-config`, which replaces it with each change. Settings of your own belong into\n\
                    # a file that includes this one.\n";
        Ok(files::replace(&self.conf(), format!("{head}{}", text(&self.config(server))).as_bytes())?)
    }

    fn config(&self, server: &Server) -> Config {
        let pair = server.tls_cert.clone().zip(server.tls_key.clone());
        Config {
            listen: server.listen.clone(),
            store_dir: server.store_dir.clone(),
            sync_interval: server.sync_interval.clone(),
            max_file_store: Some(server.max_file_store),
            log_file: None,
            tls: pair.map(|(certificate, key)| Tls { certificate, key, clients: server.tls_client_ca.clone() }),
            users: self.users(),
        }
    }
}

fn lock(folder: &Path) -> Result<File, Failure> {
    let opened = File::options().create(true).append(true).open(folder.join("lock"));
    let lock = opened.map_err(|e| unusable(folder, &e))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => {
            Err(Failure::new(Kind::Conflict, format!("{} is being changed by another process", folder.display())))
        }
        Err(TryLockError::Error(e)) => Err(unusable(folder, &e)),
    }
}

fn exists(folder: &Path) -> Failure {
    let message = format!("{} has users already, and they stay", folder.display());
    Failure::new(Kind::Conflict, message).hint("choose another folder with --dir, or add to it with `nats-config add`")
}

fn unusable(path: &Path, error: &dyn std::error::Error) -> Failure {
    Failure::because(Kind::Usage, &path.display().to_string(), error)
}
