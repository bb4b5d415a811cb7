//! `streamspace migrate`: the schema of a database, up, down, and where it stands.

use std::path::PathBuf;

use migrations::connect::{Database, Role};

use crate::failure::Failure;
use crate::host::database_failure;
use crate::output;
use crate::settings::Settings;

/// `streamspace migrate`
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
    /// The database; DATABASE_URL, so that no password is in a list of processes
    #[arg(long, value_name = "URL", global = true)]
    database_url: Option<String>,
    /// A YAML file with settings; environment and flags win over it
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Applies every step that is missing; safe beside others that do the same
    Up,
    /// Takes the last steps back; their tables and all that is in them are gone
    Down {
        /// How many
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
        steps: u32,
        /// Yes, delete what is in them
        #[arg(long)]
        yes: bool,
    },
    /// Lists the steps; changes nothing
    Status,
}

/// Does one of them.
pub(crate) async fn run(args: Args) -> Result<(), Failure> {
    if let What::Down { yes: false, .. } = args.what {
        return Err(Failure::usage("taking steps back deletes their tables and what is in them")
            .hint("--yes, if that is meant"));
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
            undone.iter().for_each(|step| output::line(format!("taken back  {step}")));
        }
        What::Status => {
            for step in migrations::status(database).await? {
                output::line(format!("{}  {}", if step.applied { "applied" } else { "missing" }, step.name));
            }
        }
    }
    Ok(())
}
