//! Opens a database with durable settings.
//!
//! SQLite has one writer, a pool of exactly one connection with WAL and `synchronous = FULL`, and a few
//! read-only connections. On PostgreSQL a service writes over few connections, so that its long statements are
//! soon prepared on each of them, and reads over the others. A single connection is tried first, because a pool
//! hides the reason for a failure.

use std::str::FromStr;
use std::time::Duration;

use sea_orm::{DatabaseConnection, DbBackend, DbErr};
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Connection, Executor};

use crate::fault::{self, Extent};
use crate::trust::Trust;
use crate::{Error, schema};

/// Time limit for opening, and for waiting for a connection of the pool.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Settings of a service's writing connections: rows to write are found by key. Otherwise a plan that was made
/// while the tables were small reads all of them for every statement, and is kept until they are analysed.
const BY_KEY: [(&str, &str); 4] = [
    ("enable_hashjoin", "off"),
    ("enable_mergejoin", "off"),
    ("enable_seqscan", "off"),
    ("plan_cache_mode", "force_generic_plan"),
];
/// Connections that a service uses for writing on PostgreSQL, out of its total.
const WRITERS: u32 = 4;
/// How long SQLite waits for another writing process.
const BUSY: Duration = Duration::from_secs(5);
const SQLITE_READERS: u32 = 4;
/// Prepared statements that a connection keeps. Those that write many rows come in six texts each, and those
/// that read many in one per power of two: the writer constantly uses about a hundred, which is sqlx's default
/// limit.
const STATEMENTS: usize = 256;

/// An open database with separate sides for writing and reading.
#[derive(Debug, Clone)]
pub struct Database {
    /// For changes. On SQLite this is a single connection, so hold it briefly.
    pub writer: DatabaseConnection,
    /// For reads.
    pub reader: DatabaseConnection,
    /// Kind of database.
    pub backend: DbBackend,
    pub(crate) target: String,
    trust: Trust,
}

impl Database {
    /// Host, port and database, or the file; without user and password, fit for logs.
    #[must_use]
    pub fn target(&self) -> &str {
        &self.target
    }

    /// Stops the use of all connections that are open for writing now, after an error that leaves the end of a
    /// transaction unknown. On SQLite the first transaction that begins afterwards proves that it has ended.
    pub fn distrust(&self) {
        self.trust.end();
    }

    /// Passes on the result of a write, after [`Self::distrust`] if its error requires that. For writes outside
    /// of the engine's writer.
    ///
    /// # Errors
    /// The error of `written`.
    pub fn checked<T>(&self, written: Result<T, DbErr>) -> Result<T, DbErr> {
        written.inspect_err(|error| {
            if fault::extent(error) == Extent::Unknown {
                self.distrust();
            }
        })
    }

    /// The same for a step of a migration, with the error as shown to people.
    pub(crate) fn failed(&self, error: DbErr) -> Error {
        if fault::extent(&error) == Extent::Unknown {
            self.distrust();
        }
        Error::sort(&self.target, error)
    }

    /// Closes both sides once running statements have ended; SQLite then moves its WAL into the file.
    ///
    /// # Errors
    /// The driver's.
    pub async fn close(self) -> Result<(), Error> {
        let Self { writer, reader, target, .. } = self;
        reader.close().await.map_err(|e| Error::sort(&target, e))?;
        writer.close().await.map_err(|e| Error::sort(&target, e))
    }
}

/// The purpose of a connection, which decides how many resources of a PostgreSQL server it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// A service.
    Service {
        /// Maximum number of connections. SQLite has a fixed few.
        connections: u32,
    },
    /// A one-off command: two connections, and statements without a time limit.
    Tool,
}

impl Role {
    /// A service of the usual size.
    pub const SERVICE: Self = Self::Service { connections: 20 };

    /// Connections for writing and for reading; without the latter, one pool serves both.
    fn connections(self) -> (u32, Option<u32>) {
        match self {
            Self::Service { connections } => (WRITERS, Some(connections.saturating_sub(WRITERS).max(2))),
            Self::Tool => (2, None),
        }
    }

    /// A statement that runs this long is stuck, and holds locks that others wait for.
    fn statement_timeout(self) -> &'static str {
        match self {
            Self::Service { .. } => "30s",
            Self::Tool => "0",
        }
    }
}

/// Opens `sqlite://path?mode=rwc` or `postgres://user:password@host:port/database`, without migrating it.
///
/// # Errors
/// [`Error`] with advice; also if the schema is newer than this binary.
pub async fn open(url: &str, role: Role) -> Result<Database, Error> {
    let scheme = url.split(':').next().unwrap_or_default();
    let database = match scheme {
        "sqlite" => sqlite(url).await?,
        "postgres" | "postgresql" => postgres(url, role).await?,
        _ => return Err(Error::Url("names neither SQLite nor PostgreSQL".into())),
    };
    schema::refuse_newer(&database).await?;
    tracing::debug!(db.target = database.target(), db.backend = ?database.backend, "database open");
    Ok(database)
}

async fn sqlite(url: &str) -> Result<Database, Error> {
    let options = SqliteConnectOptions::from_str(url).map_err(unreadable)?;
    let target = options.get_filename().display().to_string();
    if url.contains(":memory:") || url.contains("mode=memory") {
        return Err(Error::Url("names an in-memory database, which would lose accepted requests".into()));
    }
    let options = options.foreign_keys(true).busy_timeout(BUSY).optimize_on_close(false, None);
    let options = options.statement_cache_capacity(STATEMENTS);
    let writer = options
        .clone()
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .pragma("cache_size", "-32768") // KiB: the hot rows and indexes of some 100,000 sessions
        .pragma("temp_store", "MEMORY") // statement journals stay in memory: they took a seventh of the writing time
        .pragma("journal_size_limit", "67108864"); // a long read lets the WAL grow; afterwards it shrinks again
    prove_writable(&writer).await.map_err(|e| Error::sort_driver(&target, e))?;
    let reader = options.create_if_missing(false).pragma("query_only", "ON");
    let trust = Trust::default();
    let pool = |trust: Trust| {
        let pool = SqlitePoolOptions::new().acquire_timeout(TIMEOUT).test_before_acquire(false);
        let pool = pool.idle_timeout(None).max_lifetime(None); // a file does not go stale, and reopening costs its cache
        let (released, acquired) = (trust.clone(), trust);
        pool.after_release(move |connection, age| {
            let trust = released.clone();
            Box::pin(async move { trust.admits(connection, &age).await })
        })
        .before_acquire(move |connection, age| {
            let trust = acquired.clone();
            Box::pin(async move { trust.admits(connection, &age).await })
        })
    };
    let writer = pool(trust.clone()).min_connections(1).max_connections(1).connect_with(writer);
    let writer = writer.await.map_err(|e| Error::sort_driver(&target, e))?;
    let reader = pool(Trust::default()).max_connections(SQLITE_READERS).connect_lazy_with(reader);
    Ok(Database { writer: writer.into(), reader: reader.into(), backend: DbBackend::Sqlite, target, trust })
}

/// SQLite silently opens a file that it may only read, and fails at the first write. So try a write and roll it back.
async fn prove_writable(options: &SqliteConnectOptions) -> Result<(), sqlx::Error> {
    let mut connection = SqliteConnection::connect_with(options).await?;
    connection.execute("BEGIN IMMEDIATE; PRAGMA user_version = 1; ROLLBACK").await?;
    connection.close().await
}

async fn postgres(url: &str, role: Role) -> Result<Database, Error> {
    let options = PgConnectOptions::from_str(url).map_err(unreadable)?;
    let target = format!(
        "PostgreSQL at {}:{}/{}",
        options.get_host(),
        options.get_port(),
        options.get_database().unwrap_or(options.get_username())
    );
    let options = options.application_name("streamspace").statement_cache_capacity(STATEMENTS).options([
        ("statement_timeout", role.statement_timeout()),
        ("idle_in_transaction_session_timeout", "60s"), // a hanging process must not hold its locks for ever
        ("jit", "off"), // statements are short: compiling one takes longer than running it
    ]);
    let probe = async { PgConnection::connect_with(&options).await?.close().await };
    let probe = tokio::time::timeout(TIMEOUT, probe).await.unwrap_or(Err(sqlx::Error::PoolTimedOut));
    probe.map_err(|e| Error::sort_driver(&target, e))?;
    let trust = Trust::default();
    let pool = |most, options| {
        let pool = PgPoolOptions::new().max_connections(most).acquire_timeout(TIMEOUT);
        let (released, acquired) = (trust.clone(), trust.clone());
        let pool = pool.after_release(move |connection, age| {
            let trust = released.clone();
            Box::pin(async move { trust.admits(connection, &age).await })
        });
        let pool = pool.before_acquire(move |connection, age| {
            let trust = acquired.clone();
            Box::pin(async move { trust.admits(connection, &age).await })
        });
        DatabaseConnection::from(pool.max_lifetime(Duration::from_secs(1800)).connect_lazy_with(options))
    };
    let (writer, reader) = match role.connections() {
        (most, None) => {
            let both = pool(most, options);
            (both.clone(), both)
        }
        (writers, Some(readers)) => (pool(writers, options.clone().options(BY_KEY)), pool(readers, options)),
    };
    Ok(Database { reader, writer, backend: DbBackend::Postgres, target, trust })
}

/// The driver's message without the URL, which may contain a password.
fn unreadable(error: sqlx::Error) -> Error {
    let reason = match error {
        sqlx::Error::Configuration(reason) => reason.to_string(),
        other => other.to_string(),
    };
    Error::Url(format!("is not understood ({reason})"))
}
