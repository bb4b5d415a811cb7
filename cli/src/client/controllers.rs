//! `streamspace controller list`: who drives which platform, and how they are.

use serde_json::Value;

use super::{Client, Server};
use crate::failure::Failure;
use crate::output::{self, Column, cell};

/// Questions about controllers; without one, `streamspace controller` is a controller.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Lists every controller that ever reported
    List {
        /// Those of this platform
        #[arg(long)]
        platform: Option<String>,
        #[command(flatten)]
        server: Server,
    },
}

const COLUMNS: &[Column] = &[
    ("ID", |row| cell(row, "controller_id")),
    ("PLATFORM", |row| cell(row, "platform")),
    ("STATUS", |row| cell(row, "status")),
    ("SESSIONS", sessions),
    ("BREAKER", |row| cell(row, "breaker.state")),
    ("LANE", |row| cell(row, "lane")),
    ("VERSION", |row| cell(row, "version")),
    ("LAST HEARTBEAT", |row| cell(row, "last_heartbeat")),
    ("NOTE", |row| cell(row, "reason")),
];

fn sessions(row: &Value) -> String {
    let (held, most) = (cell(row, "sessions"), cell(row, "sessions_max"));
    if most.is_empty() { held } else { format!("{held}/{most}") }
}

/// Asks.
pub(crate) async fn run(command: Command) -> Result<(), Failure> {
    let Command::List { platform, server } = command;
    let rows = Client::new(&server)?.list("/controllers", &[("platform", platform)], usize::MAX).await?;
    output::list(server.output, COLUMNS, &rows, "no controller has reported yet")
}
