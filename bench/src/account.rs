//! The account after a bad day: what the invariants say about the database as it is.

use anyhow::{Context, Result, ensure};
use engine::fold::fold;
use engine::store::{application, session};
use migrations::connect::Database;
use sea_orm::EntityTrait;

/// Checks that every command is accounted for (I2) and that folding the log gives the rows (I5).
///
/// # Errors
/// The first thing that is not as promised.
pub async fn check(database: &Database) -> Result<()> {
    let unaccounted = engine::account::unaccounted(&database.reader).await?;
    ensure!(unaccounted == 0, "{unaccounted} commands are unaccounted for");
    for row in session::Entity::find().all(&database.reader).await? {
        session_folds(database, row).await?;
    }
    for row in application::Entity::find().all(&database.reader).await? {
        let folded = fold(&database.reader, &application::Model::entity(row.install_id)).await?;
        for (name, stored) in row.facts()?.hard() {
            let folded = folded.get(&name);
            ensure!(
                folded == Some(&stored),
                "the log of {} folds to {folded:?} for {name}, not {stored}",
                row.install_id
            );
        }
    }
    Ok(())
}

/// A late report may move a session between the reading of its row and of its log; then both are read again.
async fn session_folds(database: &Database, mut row: session::Model) -> Result<()> {
    loop {
        let (folded, stored) = (fold(&database.reader, &session::Model::entity(row.session_id)).await?, row.hard()?);
        if folded == stored {
            return Ok(());
        }
        let now = session::Entity::find_by_id(row.session_id).one(&database.reader).await?;
        let now = now.with_context(|| format!("session {} is gone", row.session_id))?;
        ensure!(now != row, "the log of {} folds to {folded:?}, its row is {stored:?}", row.session_id);
        row = now;
    }
}
