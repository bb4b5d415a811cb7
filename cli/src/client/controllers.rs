//! `streamspace controller list`: who drives which platform, and how they are.

use serde_json::Value;

use super::resource::Resource;
use super::{Asker, Server};
use crate::failure::Failure;
use crate::output::{Column, cell};

/// Questions about controllers; without one, `streamspace controller` is a controller.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Lists every controller that ever reported
    #[command(after_help = "Example:\n  streamspace controller list --platform docker -o wide")]
    List {
        /// Those of this platform
        #[arg(long)]
        platform: Option<String>,
        #[command(flatten)]
        server: Server,
    },
}

const CONTROLLER: Resource = Resource {
    noun: "controller",
    path: "/controllers",
    id: "controller_id",
    state: |row| cell(row, "status"),
    columns: &[
        Column::field("ID", "controller_id").rank(0),
        Column::field("PLATFORM", "platform").rank(2),
        Column::field("STATUS", "status").state().rank(1),
        Column::made("SESSIONS", sessions).rank(3),
        Column::field("BREAKER", "breaker.state").rank(6),
        Column::field("LANE", "lane").rank(7),
        Column::field("VERSION", "version").rank(8),
        Column::field("LAST HEARTBEAT", "last_heartbeat").time().rank(4),
        Column::field("NOTE", "reason").rank(5),
        Column::field("INSTANCE", "instance_id").wide(),
        Column::field("WORLD", "world_id").wide(),
    ],
    facts: &[],
    none: "no controller has reported yet",
};

fn sessions(row: &Value) -> String {
    let (held, most) = (cell(row, "sessions"), cell(row, "sessions_max"));
    if most.is_empty() { held } else { format!("{held}/{most}") }
}

/// Asks.
pub(crate) async fn run(command: Command, asker: Asker) -> Result<(), Failure> {
    let Command::List { platform, server } = command;
    CONTROLLER.list(&asker.console(&server)?, vec![("platform", platform)], usize::MAX).await
}
