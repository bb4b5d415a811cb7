//! `streamspace migrate`: applies, reverts and lists the steps of a database schema.

use std::path::PathBuf;

use migrations::connect::{Database, Role};

use crate::failure::Failure;
use crate::host::database_failure;
use crate::output;
use crate::settings::Settings;

/// Arguments of `streamspace migrate`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
    /// URL of the database; prefer DATABASE_URL, which keeps the password out of process lists
    #[arg(long, value_name = "URL", global = true)]
    database_url: Option<String>,
    /// YAML file with settings; the environment and flags take precedence
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Apply all missing steps; safe to run on several machines at once
    Up,
    /// Revert the last steps, deleting their tables and all data in them
    Down {
        /// Number of steps
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
        steps: u32,
        /// Confirm: delete the data
        #[arg(long)]
        yes: bool,
    },
    /// List the steps; changes nothing
    Status,
}

/// Runs the subcommand.
pub(crate) async fn run(args: Args) -> Result<(), Failure> {
    if let What::Down { yes: false, .. } = args.what {
        return Err(
            Failure::usage("reverting steps deletes their tables and all data in them").hint("add --yes to confirm")
        );
    }
    let mut settings = Settings::load(args.config.as_deref(), [("database_url", args.database_url)]);
    let url = settings.required("database_url", "postgres://user:password@localhost:5432/streamspace");
    let url: String = settings.finish(url)?;
    let database = migrations::connect::open(&url, Role::Tool).await.map_err(database_failure)?;
    let done = act(&args.what, &database).await.map_err(database_failure);
    database.close().await.map_err(database_failure)?;
    done
}

async fn act(what: &What, database: &Database) -> Result<(), migrations::Error> {
    match what {
        What::Up => {
            let applied = migrations::migrate(database).await?.steps;
            applied.iter().for_each(|step| output::line(format!("applied  {step}")));
            output::note(format!("{}: {} applied, up to date", database.target(), applied.len()));
        }
        What::Down { steps, .. } => {
            let undone = migrations::down(database, *steps).await?;
            undone.iter().for_each(|step| output::line(format!("reverted {step}")));
        }
        What::Status => {
            for step in migrations::status(database).await? {
                output::line(format!("{}  {}", if step.applied { "applied" } else { "missing" }, step.name));
            }
        }
    }
    Ok(())
}
