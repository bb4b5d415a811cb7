//! The identity of an installation, made once by the first migration.

use sea_orm::{ConnectionTrait, DbErr, Statement};

use crate::connect::Database;

/// The installation's id, as text; the database must have its schema.
///
/// # Errors
/// What the database says.
pub async fn installation(database: &Database) -> Result<String, DbErr> {
    let backend = database.reader.get_database_backend();
    let sql = "SELECT value FROM meta WHERE key = 'installation_id'";
    let row = database.reader.query_one_raw(Statement::from_string(backend, sql)).await?;
    row.ok_or_else(|| DbErr::RecordNotFound("installation_id".into()))?.try_get("", "value")
}
