//! A private nats-server per test: its own folder and port, removed with the test.

pub mod disk;
pub mod fuzz;

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::connect::{self, Config, Link, Secret};
use crate::server::{Error, Server, ServerOptions, find};
use crate::topology::{self, Settings};

/// A server that stops when it is dropped.
#[derive(Debug)]
pub struct Nats {
    server: Server,
    options: ServerOptions,
    folder: TempDir,
}

/// Starts a server for one test.
///
/// # Panics
/// No nats-server can be found or started, so the test cannot run.
#[allow(clippy::panic)] // a test without its server has nothing to say
pub async fn nats() -> Nats {
    match Nats::start().await {
        Ok(nats) => nats,
        Err(error) => panic!("{error}"),
    }
}

impl Nats {
    async fn start() -> Result<Self, Error> {
        let binary = find(None).await?.path;
        let folder = tempfile::tempdir().map_err(|source| Error::Io { what: "making a folder".into(), source })?;
        let store_dir = folder.path().join("nats");
        Self::start_in(folder, binary, store_dir).await
    }

    /// Starts a server that stores outside of its own folder.
    ///
    /// # Errors
    /// See [`Server::start`].
    pub async fn stored_in(store_dir: PathBuf) -> Result<Self, Error> {
        let binary = find(None).await?.path;
        let folder = tempfile::tempdir().map_err(|source| Error::Io { what: "making a folder".into(), source })?;
        Self::start_in(folder, binary, store_dir).await
    }

    async fn start_in(folder: TempDir, binary: PathBuf, store_dir: PathBuf) -> Result<Self, Error> {
        let options = ServerOptions {
            binary,
            store_dir,
            port: 0,
            user: "test".into(),
            password: Secret::new("test-password"),
            role: None,
            users: Vec::new(),
            sync_interval: None,
            log_file: Some(folder.path().join("nats.log")),
        };
        let server = Server::start(options.clone()).await?;
        let options = ServerOptions { port: server.port(), ..options };
        Ok(Self { server, options, folder })
    }

    /// The configuration of a client.
    #[must_use]
    pub fn config(&self, name: &str) -> Config {
        self.server.client(name)
    }

    /// Opens a new connection.
    ///
    /// # Errors
    /// See [`connect::connect`].
    pub async fn link(&self) -> Result<Link, connect::Error> {
        connect::connect(&self.config("test")).await
    }

    /// Opens a connection, and declares streams and the engine's consumers.
    ///
    /// # Errors
    /// See [`Nats::link`] and [`topology::declare`].
    pub async fn declared(&self) -> Result<Link, async_nats::Error> {
        let link = self.link().await?;
        topology::declare(&link.jetstream, &Settings::default(), 1).await?;
        topology::declare_engine_consumers(&link.jetstream).await?;
        Ok(link)
    }

    /// The server's own folder; its store is in `nats/`.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The server's process, to be stopped, killed or waited for.
    pub const fn server(&mut self) -> &mut Server {
        &mut self.server
    }

    /// Kills the server and starts it again on the same port and store.
    ///
    /// # Errors
    /// See [`Server::start`].
    pub async fn restart(&mut self) -> Result<(), Error> {
        self.down().await?;
        self.up().await
    }

    /// Kills the server and keeps its port free.
    ///
    /// # Errors
    /// The system's.
    pub async fn down(&mut self) -> Result<(), Error> {
        self.server.kill().await.map(drop).map_err(|source| Error::Io { what: "killing nats-server".into(), source })
    }

    /// Starts it again on the same port and store.
    ///
    /// # Errors
    /// See [`Server::start`].
    pub async fn up(&mut self) -> Result<(), Error> {
        self.server = Server::start(self.options.clone()).await?;
        Ok(())
    }

    /// Kills the server, backs up JetStream's store, and starts it again on the same port.
    ///
    /// # Errors
    /// See [`Server::start`]; or the system's.
    pub async fn back_up(&mut self) -> Result<(), Error> {
        self.down().await?;
        copy(&self.store(), &self.backup()).map_err(io("copying the store"))?;
        self.up().await
    }

    /// Kills the server, restores the last backup, and starts it again on the same port.
    ///
    /// # Errors
    /// See [`Server::start`]; or the system's.
    pub async fn restore(&mut self) -> Result<(), Error> {
        self.down().await?;
        std::fs::remove_dir_all(self.store()).map_err(io("removing the store"))?;
        copy(&self.backup(), &self.store()).map_err(io("putting the store back"))?;
        self.up().await
    }

    fn store(&self) -> PathBuf {
        self.options.store_dir.join("jetstream")
    }

    fn backup(&self) -> PathBuf {
        self.folder.path().join("backup")
    }

    /// Kills the server, deletes JetStream's store, and starts it again on the same port.
    ///
    /// # Errors
    /// See [`Server::start`].
    pub async fn lose_store(&mut self) -> Result<(), Error> {
        self.down().await?;
        std::fs::remove_dir_all(self.store()).map_err(io("removing the store"))?;
        self.up().await
    }
}

fn io(what: &str) -> impl FnOnce(std::io::Error) -> Error {
    move |source| Error::Io { what: what.into(), source }
}

/// Copies a folder recursively, overwriting files.
fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    if to.exists() {
        std::fs::remove_dir_all(to)?;
    }
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

impl Drop for Nats {
    fn drop(&mut self) {
        self.server.kill_now();
    }
}
