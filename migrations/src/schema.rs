//! Migrates the schema up and down, and reports its steps.
//!
//! All steps of one run are one transaction on both databases, so a crash leaves the schema as it was.
//! Processes that start together queue, on PostgreSQL behind an advisory lock and on SQLite behind the write
//! lock; the second one finds nothing to do.

use std::collections::HashSet;

use sea_orm::{
    ConnectionTrait, DatabaseTransaction, DbBackend, DbErr, SqliteTransactionMode, Statement, TransactionOptions,
    TransactionTrait,
};
use sea_orm_migration::{IntoSchemaManagerConnection, MigrationTrait, MigratorTrait, SchemaManager};

use crate::connect::Database;
use crate::{Error, restored};

/// Table in which sea-orm records applied steps.
const LEDGER: &str = "seaql_migrations";
/// Key of the advisory lock of migrations: the letters "strmspce" as a number.
const LOCK: i64 = 0x7374_726d_7370_6365;

/// The steps of the schema, in order.
#[derive(Debug)]
pub struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        crate::steps()
    }
}

/// The result of [`migrate`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// Steps applied by this run, in order; empty if there was nothing to do.
    pub steps: Vec<String>,
}

/// A step of the schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Its name, which also determines its order.
    pub name: String,
    /// Whether this database has it.
    pub applied: bool,
}

/// Applies all missing steps. Safe if several processes do so at once.
///
/// # Errors
/// [`Error::Newer`] before anything is changed, else the database's error; the schema is unchanged then.
pub async fn migrate(database: &Database) -> Result<Applied, Error> {
    let sort = |e| database.failed(e);
    let transaction = lock(database).await.map_err(sort)?;
    let steps: Vec<String> = known_steps(&transaction, &database.target)
        .await?
        .into_iter()
        .filter_map(|step| (!step.applied).then_some(step.name))
        .collect();
    if !steps.is_empty() {
        Migrator::up(&transaction, None).await.map_err(sort)?;
    }
    if restored::settle(&transaction).await.map_err(sort)? {
        tracing::info!(
            db.target = database.target(),
            "the log was restored from a dump; new rows are ordered after it"
        );
    }
    transaction.commit().await.map_err(sort)?;
    if !steps.is_empty() {
        tracing::info!(db.target = database.target(), db.steps = steps.len(), "schema migrated");
    }
    Ok(Applied { steps })
}

/// Reverts the last `count` steps, deleting their tables with all data; returns their names, last first.
///
/// # Errors
/// [`Error::Newer`], or the database's error; the schema is unchanged then.
pub async fn down(database: &Database, count: u32) -> Result<Vec<String>, Error> {
    let sort = |e| database.failed(e);
    let transaction = lock(database).await.map_err(sort)?;
    let steps = known_steps(&transaction, &database.target).await?;
    let undone = steps.into_iter().rev().filter(|s| s.applied).take(count as usize).map(|s| s.name).collect();
    Migrator::down(&transaction, Some(count)).await.map_err(sort)?;
    transaction.commit().await.map_err(sort)?;
    Ok(undone)
}

/// All steps of this binary, and whether the database has them. Changes nothing.
///
/// # Errors
/// [`Error::Newer`], or the database's error.
pub async fn status(database: &Database) -> Result<Vec<Step>, Error> {
    known_steps(&database.reader, &database.target).await
}

/// Checks that the schema is exactly the one that this binary needs, for services that may not migrate.
///
/// # Errors
/// [`Error::Behind`], [`Error::Restored`] or [`Error::Newer`], or the database's error.
pub async fn require_current(database: &Database) -> Result<(), Error> {
    match status(database).await?.iter().filter(|step| !step.applied).count() {
        0 => match restored::ahead(&database.reader).await.map_err(|e| Error::sort(&database.target, e))? {
            None => Ok(()),
            Some(_) => Err(Error::Restored),
        },
        missing => Err(Error::Behind { missing }),
    }
}

pub(crate) async fn refuse_newer(database: &Database) -> Result<(), Error> {
    status(database).await.map(|_| ())
}

/// Begins the transaction of a run, exclusively among all processes.
async fn lock(database: &Database) -> Result<DatabaseTransaction, DbErr> {
    let options =
        TransactionOptions { sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate), ..Default::default() };
    let transaction = database.writer.begin_with_options(options).await?;
    if database.backend == DbBackend::Postgres {
        // waiting for the lock can take as long as another process's whole run
        transaction.execute_unprepared("SET LOCAL statement_timeout = '10min'").await?;
        let wait = Statement::from_sql_and_values(database.backend, "SELECT pg_advisory_xact_lock($1)", [LOCK.into()]);
        transaction.query_one_raw(wait).await?;
    }
    Ok(transaction)
}

async fn known_steps<'c, C>(db: &'c C, target: &str) -> Result<Vec<Step>, Error>
where
    C: ConnectionTrait,
    &'c C: IntoSchemaManagerConnection<'c>,
{
    let applied = ledger(db).await.map_err(|e| Error::sort(target, e))?;
    let known: Vec<String> = Migrator::migrations().iter().map(|m| m.name().to_owned()).collect();
    if let Some(found) = applied.iter().filter(|name| !known.contains(name)).max() {
        return Err(Error::Newer { found: found.clone() });
    }
    let step = |name: String| Step { applied: applied.contains(&name), name };
    Ok(known.into_iter().map(step).collect())
}

/// Names of the applied steps; empty for a fresh database, without creating the table.
async fn ledger<'c, C>(db: &'c C) -> Result<HashSet<String>, DbErr>
where
    C: ConnectionTrait,
    &'c C: IntoSchemaManagerConnection<'c>,
{
    if !SchemaManager::new(db).has_table(LEDGER).await? {
        return Ok(HashSet::new());
    }
    let all = Statement::from_string(db.get_database_backend(), format!("SELECT version FROM {LEDGER}"));
    db.query_all_raw(all).await?.iter().map(|row| row.try_get("", "version")).collect()
}
