//! The final account of a test: checks the invariants on the database as it is.

use anyhow::{Result, ensure};
use migrations::connect::Database;

/// Checks that every command is accounted for (I2) and that folding the log gives the rows (I5).
///
/// # Errors
/// The violations.
pub async fn check(database: &Database) -> Result<()> {
    let unaccounted = engine::account::unaccounted(&database.reader).await?;
    ensure!(unaccounted == 0, "{unaccounted} commands are unaccounted for");
    let report = engine::verify::whole(&database.reader).await?;
    ensure!(report.found == 0, "the log and the tables differ: {:?}", report.findings);
    Ok(())
}
