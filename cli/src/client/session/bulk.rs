//! `streamspace session bulk`: one action on many sessions, as a job on the server.

use clap::ValueEnum;
use serde_json::{Map, Value, json};

use super::create::given;
use super::states;
use crate::client::wait::Wait;
use crate::client::{Console, job};
use crate::failure::Failure;

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Action {
    Hibernate,
    Wake,
    Delete,
}

#[derive(Debug, clap::Args)]
pub(super) struct Bulk {
    /// Action to take
    action: Action,
    #[command(flatten)]
    which: Filters,
    /// For delete: do not stop gracefully, and do not wait for unreachable controllers
    #[arg(long)]
    force: bool,
    /// Only count the sessions that match
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    wait: Wait,
}

/// At least one of these is required, so that nothing happens to all sessions by accident.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = true)]
struct Filters {
    /// Filter by user
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// Filter by state
    #[arg(long, value_parser = states(), value_name = "STATE", hide_possible_values = true)]
    status: Option<String>,
    /// Filter by platform
    #[arg(long)]
    platform: Option<String>,
    /// Filter by controller
    #[arg(long, value_name = "ID")]
    controller: Option<String>,
    /// Filter by template
    #[arg(long, value_name = "NAME")]
    template: Option<String>,
    /// Filter by tag
    #[arg(long)]
    tag: Option<String>,
    /// All sessions; with other filters, all that match them
    #[arg(long)]
    all: bool,
}

impl Bulk {
    pub(super) async fn run(&self, console: &Console) -> Result<(), Failure> {
        let job = console.client.post("/sessions/bulk", Some(&self.body())).await?;
        job::finish(console, job, self.wait).await
    }

    fn body(&self) -> Value {
        let action = match self.action {
            Action::Hibernate => "hibernate",
            Action::Wake => "wake",
            Action::Delete => "delete",
        };
        let mut body = json!({ "action": action, "filter": self.which.filter() });
        for (name, said) in [("force", self.force), ("dry_run", self.dry_run)] {
            if said {
                body[name] = json!(true);
            }
        }
        body
    }
}

impl Filters {
    fn filter(&self) -> Value {
        let mut filter: Map<_, _> = given([
            ("user_id", &self.user),
            ("status", &self.status),
            ("platform", &self.platform),
            ("controller_id", &self.controller),
            ("template_id", &self.template),
            ("tag", &self.tag),
        ])
        .collect();
        if self.all {
            filter.insert("all".into(), json!(true));
        }
        Value::Object(filter)
    }
}
