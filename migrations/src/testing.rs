//! A database of its own for each test: a real SQLite file with WAL and full syncs, or a fresh database on a real
//! PostgreSQL server.
//!
//! There is no way to skip: where the server is missing, the test fails and says how to get one.

use std::path::PathBuf;
use std::str::FromStr;

use sea_orm::DbBackend;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, Connection, Executor};
use tempfile::TempDir;
use uuid::Uuid;

use crate::connect::{self, Database, Role};
use crate::migrate;

/// Names the PostgreSQL server of the tests; its user must be allowed to create databases.
pub const POSTGRES_URL: &str = "STREAMSPACE_TEST_POSTGRES_URL";

/// Why a test got no database.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No server was named.
    #[error("{POSTGRES_URL} is not set: run `make test`, or `scripts/with-postgres.sh cargo test ...`")]
    NoServer,
    /// No folder for the file.
    #[error("no temporary folder")]
    Folder(#[from] std::io::Error),
    /// The server made no database.
    #[error("the server in {POSTGRES_URL} gave no database")]
    Server(#[from] sqlx::Error),
    /// It could not be opened or migrated.
    #[error(transparent)]
    Database(#[from] crate::Error),
}

/// An open database that vanishes with its test. Close nothing before it is dropped.
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

    /// A migrated database on the PostgreSQL server of the tests.
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

    /// A migrated database on a PostgreSQL server of the test's own.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn postgres_on(server: &str) -> Result<Self, Error> {
        Self::migrated(Self::empty_on(server).await?).await
    }

    async fn empty_on(server: &str) -> Result<Self, Error> {
        let name = format!("test_{}", Uuid::new_v4().simple());
        // template0 is the one that nobody can be connected to, so tests can create at the same time
        administer(server, format!("CREATE DATABASE {name} TEMPLATE template0")).await?;
        let url = beside(server, &name);
        let database = connect::open(&url, Role::Service { connections: 8 }).await?;
        Ok(Self { database, url, leftover: Leftover::OnServer })
    }

    /// Runs a test on both databases, each migrated, one after the other.
    ///
    /// # Errors
    /// What the test answers, or [`Error`]; the failing database is named on stderr.
    pub async fn each<E: From<Error>>(test: impl AsyncFn(&Self) -> Result<(), E>) -> Result<(), E> {
        eprintln!("on SQLite:");
        test(&Self::sqlite().await?).await?;
        eprintln!("on PostgreSQL:");
        test(&Self::postgres().await?).await
    }

    /// The file, where it is one.
    #[must_use]
    pub fn file(&self) -> Option<PathBuf> {
        match &self.leftover {
            Leftover::Folder(folder) => Some(folder.path().join("streamspace.db")),
            Leftover::OnServer => None,
        }
    }

    /// Which database it is.
    #[must_use]
    pub fn backend(&self) -> DbBackend {
        self.database.backend
    }

    async fn migrated(self) -> Result<Self, Error> {
        migrate(&self.database).await?;
        Ok(self)
    }
}

/// What is left at the end. A file goes with its test. A database on PostgreSQL stays until its private server is thrown away:
/// several `DROP DATABASE` at once wait for each other for minutes.
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
