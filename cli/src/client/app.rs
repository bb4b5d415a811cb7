//! `streamspace app`: applications installed on a platform.

use std::path::PathBuf;

use serde_json::{Value, json};
use uuid::Uuid;

use super::resource::Resource;
use super::wait::{Goal, Outcome, Wait};
use super::{ClientFactory, Console, Server, event_log};
use crate::failure::{Failure, Kind};
use crate::output::{Column, cell};

const EXAMPLES: &str = "\
Examples:
  streamspace app install firefox.yaml --platform docker --wait
  streamspace app list --status failed
  streamspace app uninstall ID --wait";

/// Arguments of `streamspace app`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    server: Server,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Install an application from its manifest; once this returns, the request is durably accepted
    #[command(after_help = "\
Examples:
  streamspace app install firefox.yaml --platform docker --wait
  generate | streamspace app install -")]
    Install {
        /// Manifest file, or - for stdin
        file: PathBuf,
        /// Platform to install on [default: the manifest's, else the server's]
        #[arg(long)]
        platform: Option<String>,
        #[command(flatten)]
        wait: Wait,
    },
    /// List applications, newest first
    #[command(after_help = "Example:\n  streamspace app list --platform docker -o wide")]
    List {
        /// Filter by platform
        #[arg(long)]
        platform: Option<String>,
        /// Filter by state: pending, installing, ready, uninstalling, uninstalled or failed
        #[arg(long, value_name = "STATE")]
        status: Option<String>,
        /// Filter by template
        #[arg(long, value_name = "NAME")]
        template: Option<String>,
        /// Maximum number of rows
        #[arg(long, value_name = "N", default_value_t = 100)]
        limit: usize,
    },
    /// Show one application
    #[command(after_help = "Example:\n  streamspace app get ID -o yaml")]
    Get {
        /// Application ID
        id: Uuid,
    },
    /// List the events of an application
    #[command(after_help = "Example:\n  streamspace app events ID")]
    Events {
        /// Application ID
        id: Uuid,
        /// Maximum number of rows
        #[arg(long, value_name = "N", default_value_t = 100)]
        limit: usize,
    },
    /// Print the events of an application until it is ready, uninstalled or failed
    #[command(after_help = "Example:\n  streamspace app watch ID --follow")]
    Watch {
        /// Application ID
        id: Uuid,
        /// Keep watching until Ctrl-C
        #[arg(long)]
        follow: bool,
    },
    /// Uninstall an application; refused while sessions use it
    #[command(after_help = "Examples:\n  streamspace app uninstall ID --wait\n  streamspace app uninstall ID --force")]
    Uninstall {
        /// Application ID
        id: Uuid,
        /// Uninstall even while sessions use it
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        wait: Wait,
    },
}

const APP: Resource = Resource {
    noun: "application",
    path: "/applications",
    id: "install_id",
    state: |row| cell(row, "install_status"),
    columns: &[
        Column::field("ID", "install_id").rank(0),
        Column::field("NAME", "display_name").rank(2),
        Column::field("TEMPLATE", "template_name").rank(4),
        Column::field("PLATFORM", "platform").rank(3),
        Column::field("STATUS", "install_status").state().rank(1),
        Column::field("IN USE BY", "in_use_by").rank(6),
        Column::field("CREATED", "created_at").time().rank(5),
        Column::field("CONTROLLER", "controller_id").wide(),
        Column::field("BY", "installed_by").wide(),
        Column::field("MESSAGE", "install_message").wide(),
    ],
    facts: &[
        Column::field("id", "install_id"),
        Column::field("name", "display_name"),
        Column::field("template", "template_name"),
        Column::field("status", "install_status").state(),
        Column::field("reason", "reason"),
        Column::field("message", "install_message"),
        Column::field("platform", "platform"),
        Column::field("controller", "controller_id"),
        Column::field("in use by", "in_use_by"),
        Column::field("installed by", "installed_by"),
        Column::field("attempt", "attempt"),
        Column::field("next attempt", "next_attempt_at"),
        Column::field("created", "created_at"),
        Column::field("updated", "updated_at"),
    ],
    none: "no applications; `streamspace app install FILE` installs one",
};

const ADVICE: &str = "`streamspace app watch ID` for its events; fix the cause, then install it again";
const WATCH: &str = "streamspace app watch";
const INSTALLED: Goal = Goal { resource: &APP, outcome: settled, standing, advice: ADVICE, watch: WATCH };
const UNINSTALLED: Goal = Goal { outcome: gone, ..INSTALLED };

fn settled(row: &Value) -> Outcome {
    match row["install_status"].as_str() {
        Some("ready" | "uninstalled") => Outcome::Done,
        Some("failed") if row["next_attempt_at"].is_null() => Outcome::Failed,
        _ => Outcome::Underway,
    }
}

/// Right after the request it may still show as ready.
fn gone(row: &Value) -> Outcome {
    match settled(row) {
        Outcome::Done if row["install_status"] != "uninstalled" => Outcome::Underway,
        outcome => outcome,
    }
}

fn standing(row: &Value) -> String {
    let parts = ["install_status", "reason", "install_message"].map(|name| cell(row, name));
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", ")
}

/// Runs the subcommand.
pub(crate) async fn run(args: Args, factory: ClientFactory) -> Result<(), Failure> {
    let console = factory.console(&args.server)?;
    match args.command {
        Command::Install { file, platform, wait } => {
            let mut body = json!({ "manifest": manifest(&file)? });
            if let Some(platform) = platform {
                body["platform"] = json!(platform);
            }
            let app = console.client.post(APP.path, Some(&body)).await?;
            finish(&console, &INSTALLED, app, wait).await
        }
        Command::List { platform, status, template, limit } => {
            let query = vec![("platform", platform), ("status", status), ("template_name", template)];
            APP.list(&console, query, limit).await
        }
        Command::Get { id } => APP.get(&console, id).await,
        Command::Events { id, limit } => {
            let rows = console.client.list(&format!("{}/events", APP.at(id)), &[], limit).await?;
            rows.iter().try_for_each(|event| event_log::print(&console.screen, event))
        }
        Command::Watch { id, follow } => event_log::follow(&console, &INSTALLED, id, follow).await,
        Command::Uninstall { id, force, wait } => {
            let app = console.client.delete(&APP.at(id), &[("force", force.then(|| "true".into()))]).await?;
            finish(&console, &UNINSTALLED, app, wait).await
        }
    }
}

fn manifest(file: &PathBuf) -> Result<String, Failure> {
    let read =
        if file.as_os_str() == "-" { std::io::read_to_string(std::io::stdin()) } else { std::fs::read_to_string(file) };
    read.map_err(|e| {
        Failure::because(Kind::Usage, &file.display().to_string(), &e)
            .hint("name a file with the application's manifest")
    })
}

async fn finish(console: &Console, goal: &Goal, app: Value, wait: Wait) -> Result<(), Failure> {
    let app = if wait.wait { goal.reach(console, app, wait.timeout).await? } else { app };
    APP.report(console, &app)
}
