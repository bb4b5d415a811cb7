//! A database per test: a real SQLite file with WAL and full syncs, or a fresh database on a real PostgreSQL server.
//!
//! Tests cannot be skipped: without a server they fail and say how to get one.

use std::path::PathBuf;
use std::str::FromStr;

use sea_orm::DbBackend;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, Connection, Executor};
use tempfile::TempDir;
use uuid::Uuid;

use crate::connect::{self, Database, Role};
use crate::migrate;

/// Environment variable with the URL of the PostgreSQL server; its user must be allowed to create databases.
pub const POSTGRES_URL: &str = "STREAMSPACE_TEST_POSTGRES_URL";

/// Why a test got no database.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server is not configured.
    #[error("{POSTGRES_URL} is not set: run `make test`, or `scripts/with-postgres.sh cargo test ...`")]
    NoServer,
    /// No folder for the file.
    #[error("no temporary folder")]
    Folder(#[from] std::io::Error),
    /// The server could not create a database.
    #[error("the server in {POSTGRES_URL} gave no database")]
    Server(#[from] sqlx::Error),
    /// It could not be opened or migrated.
    #[error(transparent)]
    Database(#[from] crate::Error),
}

/// An open database that is removed with its test. Do not close it before it is dropped.
#[derive(Debug)]
pub struct TestDatabase {
    /// The open database.
    pub database: Database,
    /// Its URL, for further processes and connections.
    pub url: String,
    leftover: Leftover,
}

impl TestDatabase {
    /// A migrated SQLite file.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn sqlite() -> Result<Self, Error> {
        Self::migrated(Self::empty_sqlite().await?).await
    }

    /// A migrated database on the PostgreSQL server.
    ///
    /// # Errors
    /// [`Error::NoServer`] says how to start one.
    pub async fn postgres() -> Result<Self, Error> {
        Self::migrated(Self::empty_postgres().await?).await
    }

    /// A SQLite file without a schema.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn empty_sqlite() -> Result<Self, Error> {
        let folder = tempfile::Builder::new().prefix("streamspace-test-").tempdir()?;
        let url = format!("sqlite://{}?mode=rwc", folder.path().join("streamspace.db").display());
        let database = connect::open(&url, Role::SERVICE).await?;
        Ok(Self { database, url, leftover: Leftover::Folder(folder) })
    }

    /// A PostgreSQL database without a schema.
    ///
    /// # Errors
    /// [`Error::NoServer`] says how to start one.
    pub async fn empty_postgres() -> Result<Self, Error> {
        Self::empty_on(&std::env::var(POSTGRES_URL).map_err(|_| Error::NoServer)?).await
    }

    /// A migrated database on another PostgreSQL server.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn postgres_on(server: &str) -> Result<Self, Error> {
        Self::migrated(Self::empty_on(server).await?).await
    }

    async fn empty_on(server: &str) -> Result<Self, Error> {
        let name = format!("test_{}", Uuid::new_v4().simple());
        // no one can be connected to template0, so tests can create databases at the same time
        administer(server, format!("CREATE DATABASE {name} TEMPLATE template0")).await?;
        let url = beside(server, &name);
        let database = connect::open(&url, Role::Service { connections: 8 }).await?;
        Ok(Self { database, url, leftover: Leftover::OnServer })
    }

    /// Runs a test on both databases, each migrated, one after the other.
    ///
    /// # Errors
    /// The test's error, or [`Error`]; the failing database is named on stderr.
    pub async fn each<E: From<Error>>(test: impl AsyncFn(&Self) -> Result<(), E>) -> Result<(), E> {
        eprintln!("on SQLite:");
        test(&Self::sqlite().await?).await?;
        eprintln!("on PostgreSQL:");
        test(&Self::postgres().await?).await
    }

    /// Path of the file, if it is SQLite.
    #[must_use]
    pub fn file(&self) -> Option<PathBuf> {
        match &self.leftover {
            Leftover::Folder(folder) => Some(folder.path().join("streamspace.db")),
            Leftover::OnServer => None,
        }
    }

    /// Kind of the database.
    #[must_use]
    pub fn backend(&self) -> DbBackend {
        self.database.backend
    }

    async fn migrated(self) -> Result<Self, Error> {
        migrate(&self.database).await?;
        Ok(self)
    }
}

/// What is removed at the end. A file goes with its test. A PostgreSQL database stays until its private server
/// is removed, because several `DROP DATABASE` at once wait for each other for minutes.
#[derive(Debug)]
enum Leftover {
    Folder(TempDir),
    OnServer,
}

async fn administer(server: &str, statement: String) -> Result<(), sqlx::Error> {
    let mut connection = PgConnection::connect_with(&PgConnectOptions::from_str(server)?).await?;
    connection.execute(AssertSqlSafe(statement)).await?;
    connection.close().await
}

/// The URL of another database on the same server.
fn beside(server: &str, name: &str) -> String {
    let (address, query) = server.split_once('?').map_or((server, None), |(a, q)| (a, Some(q)));
    let host = address.find("://").map_or(0, |at| at + 3);
    let end = address[host..].find('/').map_or(address.len(), |at| host + at);
    let query = query.map(|q| format!("?{q}")).unwrap_or_default();
    format!("{}/{name}{query}", &address[..end])
}
