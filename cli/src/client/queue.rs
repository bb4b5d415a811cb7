//! `streamspace queue`: what waits, for what, and why.

use super::resource::Resource;
use super::{ClientFactory, Server};
use crate::failure::Failure;
use crate::output::{Column, cell};

const EXAMPLES: &str = "\
Examples:
  streamspace queue --controller docker-1
  streamspace queue --user ada -o wide
  streamspace queue --summary";

/// Arguments of `streamspace queue`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Filter by platform
    #[arg(long, conflicts_with = "summary")]
    platform: Option<String>,
    /// Filter by controller
    #[arg(long, value_name = "ID", conflicts_with = "summary")]
    controller: Option<String>,
    /// Filter by user
    #[arg(long, value_name = "NAME", conflicts_with = "summary")]
    user: Option<String>,
    /// Maximum number of rows
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: usize,
    /// Only count, by platform, controller and cause
    #[arg(long)]
    summary: bool,
    #[command(flatten)]
    server: Server,
}

const ENTRY: Resource = Resource {
    noun: "queue entry",
    path: "/queue",
    id: "entity",
    state: |row| cell(row, "waits_for"),
    columns: &[
        Column::field("PLACE", "place").rank(1),
        Column::field("ENTITY", "entity").rank(0),
        Column::field("VERB", "verb").rank(4),
        Column::field("USER", "user_id").rank(6),
        Column::field("PLATFORM", "platform").rank(8),
        Column::field("CONTROLLER", "controller_id").rank(7),
        Column::field("WAITS FOR", "waits_for").rank(2),
        Column::field("SINCE", "since").time().rank(5),
        Column::field("WHY", "reason").rank(3),
        Column::field("NEXT ATTEMPT", "next_attempt_at").time().wide(),
        Column::field("ATTEMPTS", "attempt").wide(),
        Column::field("COMMAND", "command_id").wide(),
    ],
    facts: &[],
    none: "nothing waits",
};

const SUMS: [Column; 5] = [
    Column::field("PLATFORM", "platform").rank(0),
    Column::field("CONTROLLER", "controller_id").rank(3),
    Column::field("WAITS FOR", "waits_for").rank(1),
    Column::field("COUNT", "count").rank(2),
    Column::field("OLDEST", "oldest_since").time().rank(4),
];

/// Prints the queue.
pub(crate) async fn run(args: Args, factory: ClientFactory) -> Result<(), Failure> {
    let console = factory.console(&args.server)?;
    if args.summary {
        let sums = console.client.get("/queue/summary", &[]).await?;
        let rows = sums["items"].as_array().map(Vec::as_slice).unwrap_or_default();
        return console.screen.list(&SUMS, rows, ENTRY.none);
    }
    let query = vec![("platform", args.platform), ("controller_id", args.controller), ("user_id", args.user)];
    ENTRY.list(&console, query, args.limit).await
}
