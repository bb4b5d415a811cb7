//! Asking the same of many sessions: a job of the server's.

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
    /// What to ask of them
    action: Action,
    #[command(flatten)]
    which: Which,
    /// Do not stop them gracefully, and do not wait for dead controllers; for delete
    #[arg(long)]
    force: bool,
    /// Only say how many it would be
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    wait: Wait,
}

/// Without any of these nothing is asked of anybody.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = true)]
struct Which {
    /// Those of this user
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// Those in this state
    #[arg(long, value_parser = states(), value_name = "STATE", hide_possible_values = true)]
    status: Option<String>,
    /// Those on this platform
    #[arg(long)]
    platform: Option<String>,
    /// Those of this controller
    #[arg(long, value_name = "ID")]
    controller: Option<String>,
    /// Those made from this template
    #[arg(long, value_name = "NAME")]
    template: Option<String>,
    /// Those with this tag
    #[arg(long)]
    tag: Option<String>,
    /// Every one; with other filters, every one of those
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

impl Which {
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
