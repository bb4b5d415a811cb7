//! `streamspace controller list`, `get`, and the operator's commands for one controller.

use serde_json::{Value, json};

use super::resource::Resource;
use super::wait::Wait;
use super::{ClientFactory, Server, job, segment};
use crate::failure::Failure;
use crate::output::{Column, cell};

/// Commands about controllers; without one, `streamspace controller` runs a controller.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// List every controller that ever reported
    #[command(after_help = "Example:\n  streamspace controller list --platform docker -o wide")]
    List {
        /// Filter by platform
        #[arg(long)]
        platform: Option<String>,
        #[command(flatten)]
        server: Server,
    },
    /// Show a controller with its circuit breaker, failure counts and retry budget
    #[command(after_help = "Example:\n  streamspace controller get docker-1 -o json | jq .breaker")]
    Get {
        /// Controller ID
        #[arg(value_name = "ID")]
        id: String,
        #[command(flatten)]
        server: Server,
    },
    /// Open its circuit breaker: no new work until a probe succeeds
    #[command(after_help = "Example:\n  streamspace controller open docker-1 --reason \"its disk is full\"")]
    Open(Order),
    /// Close its circuit breaker: new work at once, and the failure counts start again
    #[command(after_help = "Example:\n  streamspace controller close docker-1 --reason \"its disk is replaced\"")]
    Close(Order),
    /// Hold its circuit breaker open or closed until `release`, whatever happens
    #[command(after_help = "Example:\n  streamspace controller hold docker-1 open --reason \"maintenance until noon\"")]
    Hold {
        /// Controller ID
        #[arg(value_name = "ID")]
        id: String,
        /// Position of the breaker
        #[arg(value_parser = ["open", "closed"])]
        how: String,
        /// Reason, kept in the log
        #[arg(long, value_name = "WHY")]
        reason: String,
        #[command(flatten)]
        server: Server,
    },
    /// Return a held circuit breaker to normal; one that was held open is probed at once
    #[command(after_help = "Example:\n  streamspace controller release docker-1 --reason \"maintenance is over\"")]
    Release(Order),
    /// Take a controller out of service permanently: its sessions move to other controllers
    #[command(
        after_help = "Example:\n  streamspace controller revoke docker-1 --reason \"the host is gone\" --yes --wait"
    )]
    Revoke {
        #[command(flatten)]
        order: Order,
        /// Confirm: move its sessions; running programs are lost
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        wait: Wait,
    },
    /// Put a revoked controller back into service
    #[command(after_help = "Example:\n  streamspace controller reinstate docker-1 --reason \"it is repaired\"")]
    Reinstate(Order),
    /// Admit a new controller to a platform that others serve
    #[command(after_help = "Example:\n  streamspace controller admit docker-2 --reason \"our second host\"")]
    Admit(Order),
    /// Forget its host, after a reinstallation or a change of protocol: the next host that uses its ID is accepted
    #[command(after_help = "Example:\n  streamspace controller reset docker-1 --reason \"its disk was replaced\"")]
    Reset(Order),
    /// Remove a controller that is gone and owns nothing
    #[command(after_help = "Example:\n  streamspace controller remove docker-1 --reason \"the host was sold\"")]
    Remove(Order),
}

#[derive(Debug, clap::Args)]
pub(crate) struct Order {
    /// Controller ID
    #[arg(value_name = "ID")]
    id: String,
    /// Reason, kept in the log
    #[arg(long, value_name = "WHY")]
    reason: String,
    #[command(flatten)]
    server: Server,
}

const CONTROLLER: Resource = Resource {
    noun: "controller",
    path: "/controllers",
    id: "controller_id",
    state: standing,
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
    facts: &[
        Column::field("id", "controller_id"),
        Column::field("platform", "platform"),
        Column::field("status", "status").state(),
        Column::made("admitted", |row| if row["admitted"] == false { "no".into() } else { "yes".into() }),
        Column::made("takes work", |row| if row["accepting"] == true { "yes".into() } else { "no".into() }),
        Column::field("why not", "reason"),
        Column::made("sessions", sessions),
        Column::made("breaker", breaker).state(),
        Column::field("since", "breaker.since"),
        Column::field("opened by", "breaker.opened_by"),
        Column::field("reason", "breaker.reason"),
        Column::made("failures", failures),
        Column::field("next probe", "breaker.retry_at"),
        Column::field("probe", "breaker.probe"),
        Column::made("retries left", |row| {
            format!("{}/{}", cell(row, "retry_budget.left"), cell(row, "retry_budget.burst"))
        }),
        Column::field("next retry", "retry_budget.next_at"),
        Column::made("impostors", |row| match row["impostors"]["refused"].as_i64() {
            None | Some(0) => String::new(),
            Some(refused) => format!("{refused} heartbeats refused: {}", cell(row, "impostors.reason")),
        }),
        Column::field("revoked by", "revocation.by"),
        Column::field("revoked because", "revocation.reason"),
        Column::made("owes", |row| match row["owed"].as_i64() {
            None | Some(0) => String::new(),
            Some(owed) => format!("clean-up of {owed} sessions that moved elsewhere"),
        }),
        Column::field("lane", "lane"),
        Column::field("version", "version"),
        Column::field("labels", "labels"),
        Column::field("instance", "instance_id"),
        Column::field("world", "world_id"),
        Column::field("last heartbeat", "last_heartbeat"),
    ],
    none: "no controller has reported yet",
};

/// Path of the administrator's operations on controllers.
const ADMIN: &str = "/admin/controllers";

fn breaker(row: &Value) -> String {
    let held = if row["breaker"]["held"] == true { ", held" } else { "" };
    format!("{}{held}", cell(row, "breaker.state"))
}

fn standing(row: &Value) -> String {
    format!("{}  breaker {}  {}", cell(row, "status"), breaker(row), cell(row, "breaker.reason"))
}

fn failures(row: &Value) -> String {
    let count = |kind: &str| {
        let count = row["breaker"]["kinds"][kind].as_i64().filter(|count| *count > 0)?;
        Some(format!("{kind} {count}"))
    };
    let kinds: Vec<String> = ["driver", "platform", "timeout", "unreachable"].into_iter().filter_map(count).collect();
    let kinds = if kinds.is_empty() { String::new() } else { format!(" ({})", kinds.join(", ")) };
    let sessions = cell(row, "breaker.failing"); // older servers do not send it
    let failed = if sessions.is_empty() { cell(row, "breaker.failures") } else { sessions };
    format!("{failed} of {}{kinds}", cell(row, "breaker.threshold"))
}

fn sessions(row: &Value) -> String {
    let (held, most) = (cell(row, "sessions"), cell(row, "sessions_max"));
    if most.is_empty() { held } else { format!("{held}/{most}") }
}

/// Runs the subcommand.
pub(crate) async fn run(command: Command, factory: ClientFactory) -> Result<(), Failure> {
    match command {
        Command::List { platform, server } => {
            CONTROLLER.list(&factory.console(&server)?, vec![("platform", platform)], usize::MAX).await
        }
        Command::Get { id, server } => CONTROLLER.get(&factory.console(&server)?, id).await,
        Command::Open(order) => order.give(&factory, "open").await,
        Command::Close(order) => order.give(&factory, "close").await,
        Command::Release(order) => order.give(&factory, "release").await,
        Command::Revoke { order, yes, wait } => order.revoke(&factory, yes, wait).await,
        Command::Reinstate(order) => order.decide(&factory, "reinstate").await,
        Command::Admit(order) => order.decide(&factory, "admit").await,
        Command::Reset(order) => order.decide(&factory, "reset").await,
        Command::Remove(order) => order.remove(&factory).await,
        Command::Hold { id, how, reason, server } => {
            Order { id, reason, server }.give(&factory, &format!("hold_{how}")).await
        }
    }
}

impl Order {
    async fn revoke(self, factory: &ClientFactory, yes: bool, wait: Wait) -> Result<(), Failure> {
        if !yes {
            return Err(Failure::usage(
                "revoking a controller moves its sessions, and their running programs are lost",
            )
            .hint("add --yes to confirm"));
        }
        let console = factory.console(&self.server)?;
        let path = format!("{ADMIN}/{}/revoke", segment(&self.id));
        let job = console.client.post(&path, Some(&json!({ "reason": self.reason }))).await?;
        job::finish(&console, job, wait).await
    }

    async fn decide(self, factory: &ClientFactory, what: &str) -> Result<(), Failure> {
        let console = factory.console(&self.server)?;
        let path = format!("{ADMIN}/{}/{what}", segment(&self.id));
        CONTROLLER.report(&console, &console.client.post(&path, Some(&json!({ "reason": self.reason }))).await?)
    }

    async fn remove(self, factory: &ClientFactory) -> Result<(), Failure> {
        let console = factory.console(&self.server)?;
        let gone = console.client.delete(&CONTROLLER.at(&self.id), &[("reason", Some(self.reason))]).await?;
        CONTROLLER.report(&console, &gone)
    }

    async fn give(self, factory: &ClientFactory, action: &str) -> Result<(), Failure> {
        let console = factory.console(&self.server)?;
        let body = json!({ "action": action, "reason": self.reason });
        let path = format!("{ADMIN}/{}/breaker", segment(&self.id));
        CONTROLLER.report(&console, &console.client.post(&path, Some(&body)).await?)
    }
}
