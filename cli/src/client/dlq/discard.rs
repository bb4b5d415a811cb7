//! `streamspace dlq discard`: closes the given letters, or starts a job for all that match a filter.

use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::super::wait::Wait;
use super::super::{Console, job};
use super::{FILTERS, LETTER};
use crate::failure::Failure;

#[derive(Debug, clap::Args)]
pub(super) struct Discard {
    /// Dead letter IDs
    #[arg(required_unless_present = "filter", conflicts_with = "filter", value_name = "ID")]
    ids: Vec<Uuid>,
    /// Filter by reason, subject, platform, controller, entity, fingerprint, search, since or until; `all` for
    /// every open one
    #[arg(long, value_name = "NAME=VALUE", value_parser = filter)]
    filter: Vec<(&'static str, Value)>,
    /// Reason, kept in the log
    #[arg(long, value_name = "WHY")]
    reason: String,
    /// With a filter: change nothing; show what would be closed
    #[arg(long, conflicts_with = "ids")]
    dry_run: bool,
    /// With a filter: at most N a second
    #[arg(long, value_name = "N", conflicts_with = "ids", value_parser = clap::value_parser!(u32).range(1..=1000))]
    rate: Option<u32>,
    #[command(flatten)]
    wait: Wait,
}

/// Parses one filter; the name is the API's.
fn filter(text: &str) -> Result<(&'static str, Value), String> {
    if text == "all" {
        return Ok(("all", json!(true)));
    }
    let names = FILTERS.map(|name| match name {
        "controller" => (name, "controller_id"),
        "search" => (name, "q"),
        name => (name, name),
    });
    let (name, value) = text.split_once('=').ok_or_else(|| format!("{text:?} is neither NAME=VALUE nor all"))?;
    let known = names.into_iter().find(|(ours, theirs)| *ours == name || *theirs == name);
    let (_, name) = known.ok_or_else(|| format!("{name:?} is not one of {}", FILTERS.join(", ")))?;
    Ok((name, json!(value)))
}

impl Discard {
    pub(super) async fn run(self, console: &Console) -> Result<(), Failure> {
        for id in &self.ids {
            let letter = console.client.delete(&LETTER.at(id), &[("reason", Some(self.reason.clone()))]).await?;
            LETTER.report(console, &letter)?;
        }
        if !self.ids.is_empty() {
            return Ok(());
        }
        let given: Map<String, Value> = self.filter.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        let mut body = json!({ "filter": given, "reason": self.reason });
        if self.dry_run {
            body["dry_run"] = json!(true);
        }
        if let Some(rate) = self.rate {
            body["rate"] = json!(rate);
        }
        let job = console.client.post("/admin/dlq/discard", Some(&body)).await?;
        job::finish(console, job, self.wait).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_named_as_the_options_are_and_nonsense_is_refused() {
        assert_eq!(filter("reason=undecodable"), Ok(("reason", json!("undecodable"))));
        assert_eq!(filter("controller=a=b"), Ok(("controller_id", json!("a=b"))));
        assert_eq!(filter("search=boom"), Ok(("q", json!("boom"))));
        assert_eq!(filter("all"), Ok(("all", json!(true))));
        assert!(filter("reson=x").unwrap_err().contains("not one of reason"));
        assert!(filter("everything").unwrap_err().contains("NAME=VALUE"));
    }
}
