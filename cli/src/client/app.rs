//! `streamspace app`: applications that are installed on a platform.

use std::path::PathBuf;

use serde_json::{Value, json};
use uuid::Uuid;

use super::resource::Resource;
use super::wait::{Goal, Outcome, Wait};
use super::{Asker, Console, Server, story};
use crate::failure::{Failure, Kind};
use crate::output::{Column, cell};

const EXAMPLES: &str = "\
Examples:
  streamspace app install firefox.yaml --platform docker --wait
  streamspace app list --status failed
  streamspace app uninstall ID --wait";

/// `streamspace app`
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
    /// Installs an application from its manifest; it is accepted for good when this returns
    #[command(after_help = "\
Examples:
  streamspace app install firefox.yaml --platform docker --wait
  generate | streamspace app install -")]
    Install {
        /// The manifest, or - for stdin
        file: PathBuf,
        /// Where [default: the manifest's, else the server's]
        #[arg(long)]
        platform: Option<String>,
        #[command(flatten)]
        wait: Wait,
    },
    /// Lists applications, newest first
    #[command(after_help = "Example:\n  streamspace app list --platform docker -o wide")]
    List {
        /// Those on this platform
        #[arg(long)]
        platform: Option<String>,
        /// Those in this state: pending, installing, ready, uninstalling, uninstalled or failed
        #[arg(long, value_name = "STATE")]
        status: Option<String>,
        /// Those of this template
        #[arg(long, value_name = "NAME")]
        template: Option<String>,
        /// The most to show
        #[arg(long, value_name = "N", default_value_t = 100)]
        limit: usize,
    },
    /// Shows one application
    #[command(after_help = "Example:\n  streamspace app get ID -o yaml")]
    Get {
        /// The application
        id: Uuid,
    },
    /// Lists what happened to an application
    #[command(after_help = "Example:\n  streamspace app events ID")]
    Events {
        /// The application
        id: Uuid,
        /// The most to show
        #[arg(long, value_name = "N", default_value_t = 100)]
        limit: usize,
    },
    /// Prints what happens to an application until it is ready, gone, or failed
    #[command(after_help = "Example:\n  streamspace app watch ID --follow")]
    Watch {
        /// The application
        id: Uuid,
        /// Go on afterwards, until Ctrl-C
        #[arg(long)]
        follow: bool,
    },
    /// Uninstalls an application; refused while sessions use it
    #[command(after_help = "Examples:\n  streamspace app uninstall ID --wait\n  streamspace app uninstall ID --force")]
    Uninstall {
        /// The application
        id: Uuid,
        /// Also while sessions use it
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

const MEND: &str = "`streamspace app watch ID` for its whole story, and install it again when that is mended";
const WATCH: &str = "streamspace app watch";
const INSTALLED: Goal = Goal { resource: &APP, outcome: settled, standing, mend: MEND, watch: WATCH };
const UNINSTALLED: Goal = Goal { outcome: gone, ..INSTALLED };

fn settled(row: &Value) -> Outcome {
    match row["install_status"].as_str() {
        Some("ready" | "uninstalled") => Outcome::Done,
        Some("failed") if row["next_attempt_at"].is_null() => Outcome::Failed,
        _ => Outcome::Underway,
    }
}

/// Right after it was asked for, it may still be ready.
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

/// Does one of them.
pub(crate) async fn run(args: Args, asker: Asker) -> Result<(), Failure> {
    let console = asker.console(&args.server)?;
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
            rows.iter().try_for_each(|event| story::print(&console.screen, event))
        }
        Command::Watch { id, follow } => story::tell(&console, &INSTALLED, id, follow).await,
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
        Failure::because(Kind::Usage, &file.display().to_string(), &e).hint("a file with the application's manifest")
    })
}

async fn finish(console: &Console, goal: &Goal, app: Value, wait: Wait) -> Result<(), Failure> {
    let app = if wait.wait { goal.reach(console, app, wait.timeout).await? } else { app };
    APP.tell(console, &app)
}
