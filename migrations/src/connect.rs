//! Opening a database, so that what is committed stays committed.
//!
//! SQLite has one writer: a pool of exactly one connection, with WAL and `synchronous = FULL`, and a few readers beside it
//! that cannot write. On PostgreSQL a service writes over few connections, so that its long statements are prepared on each
//! of them soon, and reads over the rest. A single connection is tried first, because a pool hides why it got none.

use std::str::FromStr;
use std::time::Duration;

use sea_orm::{DatabaseConnection, DbBackend, DbErr};
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Connection, Executor};

use crate::fault::{self, Extent};
use crate::trust::Trust;
use crate::{Error, schema};

/// How long opening may take, and how long a caller waits for a connection of the pool.
const PATIENCE: Duration = Duration::from_secs(10);
/// How connections are set that a service writes over: what it writes it finds by key. Without this a plan that was made while
/// the tables were small reads all of them for every statement, and is kept until they are analysed.
const BY_KEY: [(&str, &str); 4] = [
    ("enable_hashjoin", "off"),
    ("enable_mergejoin", "off"),
    ("enable_seqscan", "off"),
    ("plan_cache_mode", "force_generic_plan"),
];
/// Connections to PostgreSQL that a service writes over, of all that it may have.
const WRITERS: u32 = 4;
/// How long SQLite waits for another process that writes.
const BUSY: Duration = Duration::from_secs(5);
const SQLITE_READERS: u32 = 4;
/// Statements that a connection keeps prepared. Those that write many rows come in six texts each, and those that read many in
/// one for each power of two: what the writer does all the time is about a hundred, which is as many as sqlx keeps unless told.
const STATEMENTS: usize = 256;

/// An open database: writes go to one side, reads to the other.
#[derive(Debug, Clone)]
pub struct Database {
    /// For all that changes something. On SQLite it is one single connection: hold it briefly.
    pub writer: DatabaseConnection,
    /// For all that only looks.
    pub reader: DatabaseConnection,
    /// Which of the two it is.
    pub backend: DbBackend,
    pub(crate) target: String,
    trust: Trust,
}

impl Database {
    /// Where it is (host, port and database, or the file), fit for logs: no user, no password.
    #[must_use]
    pub fn target(&self) -> &str {
        &self.target
    }

    /// No connection that is open for writing now is used again: for errors after which nobody knows whether a transaction has ended.
    /// On SQLite the first transaction that begins afterwards proves that it has.
    pub fn distrust(&self) {
        self.trust.end();
    }

    /// Passes on what became of a write, after [`Self::distrust`] where its error asks for that. For all that writes without the
    /// engine's writer.
    ///
    /// # Errors
    /// The error that came.
    pub fn checked<T>(&self, written: Result<T, DbErr>) -> Result<T, DbErr> {
        written.inspect_err(|error| {
            if fault::extent(error) == Extent::Unknown {
                self.distrust();
            }
        })
    }

    /// The same for a step of a migration: the error as people are shown it.
    pub(crate) fn failed(&self, error: DbErr) -> Error {
        if fault::extent(&error) == Extent::Unknown {
            self.distrust();
        }
        Error::sort(&self.target, error)
    }

    /// Closes both sides after what runs has ended; SQLite then moves its WAL into the file.
    ///
    /// # Errors
    /// What the driver says.
    pub async fn close(self) -> Result<(), Error> {
        let Self { writer, reader, target, .. } = self;
        reader.close().await.map_err(|e| Error::sort(&target, e))?;
        writer.close().await.map_err(|e| Error::sort(&target, e))
    }
}

/// Who opens the database, which decides how much of a PostgreSQL server it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// A process that serves.
    Service {
        /// The most connections at a time. SQLite has its fixed few.
        connections: u32,
    },
    /// A command that runs once: two connections, and statements may take their time.
    Tool,
}

impl Role {
    /// A process that serves, of the usual size.
    pub const SERVICE: Self = Self::Service { connections: 20 };

    /// Connections to write over, and to read over; without the latter both go over the same.
    fn connections(self) -> (u32, Option<u32>) {
        match self {
            Self::Service { connections } => (WRITERS, Some(connections.saturating_sub(WRITERS).max(2))),
            Self::Tool => (2, None),
        }
    }

    /// A statement that runs this long is stuck, and holds locks that everybody waits for.
    fn statement_timeout(self) -> &'static str {
        match self {
            Self::Service { .. } => "30s",
            Self::Tool => "0",
        }
    }
}

/// Opens `sqlite://path?mode=rwc` or `postgres://user:password@host:port/database`. It does not migrate.
///
/// # Errors
/// [`Error`] says what to do about it; also when the schema is newer than this binary.
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
        return Err(Error::Url("names a database in memory, which cannot keep what was accepted".into()));
    }
    let options = options.foreign_keys(true).busy_timeout(BUSY).optimize_on_close(false, None);
    let options = options.statement_cache_capacity(STATEMENTS);
    let writer = options
        .clone()
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .pragma("cache_size", "-32768") // KiB: the hot rows and indexes of some 100,000 sessions
        .pragma("temp_store", "MEMORY") // what a statement on many rows would undo is no file: a seventh of the time of writing
        .pragma("journal_size_limit", "67108864"); // a long read lets the WAL grow; afterwards it shrinks again
    prove_writable(&writer).await.map_err(|e| Error::sort_driver(&target, e))?;
    let reader = options.create_if_missing(false).pragma("query_only", "ON");
    let trust = Trust::default();
    let pool = |trust: Trust| {
        let pool = SqlitePoolOptions::new().acquire_timeout(PATIENCE).test_before_acquire(false);
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

/// SQLite opens a file that it may only read without a word, and complains at the first write: so try one, and take it
/// back.
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
        ("idle_in_transaction_session_timeout", "60s"), // a process that hangs must not hold its locks for ever
        ("jit", "off"), // statements are short: compiling one takes longer than running it
    ]);
    let probe = async { PgConnection::connect_with(&options).await?.close().await };
    let probe = tokio::time::timeout(PATIENCE, probe).await.unwrap_or(Err(sqlx::Error::PoolTimedOut));
    probe.map_err(|e| Error::sort_driver(&target, e))?;
    let trust = Trust::default();
    let pool = |most, options| {
        let pool = PgPoolOptions::new().max_connections(most).acquire_timeout(PATIENCE);
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

/// The driver's words without the URL, which may hold a password.
fn unreadable(error: sqlx::Error) -> Error {
    let reason = match error {
        sqlx::Error::Configuration(reason) => reason.to_string(),
        other => other.to_string(),
    };
    Error::Url(format!("is not understood ({reason})"))
}
