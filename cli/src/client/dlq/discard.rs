//! `streamspace dlq discard`: letters that are named, or a job for all that a filter finds.

use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::super::wait::Wait;
use super::super::{Console, job};
use super::{FILTERS, LETTER};
use crate::failure::Failure;

#[derive(Debug, clap::Args)]
pub(super) struct Discard {
    /// The dead letters
    #[arg(required_unless_present = "filter", conflicts_with = "filter", value_name = "ID")]
    ids: Vec<Uuid>,
    /// Those with this: reason, subject, platform, controller, entity, fingerprint, search, since or until; or all
    #[arg(long, value_name = "NAME=VALUE", value_parser = filter)]
    filter: Vec<(&'static str, Value)>,
    /// Why, for whoever asks later
    #[arg(long, value_name = "WHY")]
    reason: String,
    /// With a filter: change nothing, and say what would be closed
    #[arg(long, conflicts_with = "ids")]
    dry_run: bool,
    /// With a filter: so many a second at most
    #[arg(long, value_name = "N", conflicts_with = "ids", value_parser = clap::value_parser!(u32).range(1..=1000))]
    rate: Option<u32>,
    #[command(flatten)]
    wait: Wait,
}

/// One part of a filter, by the name that the API has for it.
fn filter(text: &str) -> Result<(&'static str, Value), String> {
    if text == "all" {
        return Ok(("all", json!(true)));
    }
    let names = FILTERS.map(|name| match name {
        "controller" => (name, "controller_id"),
        "search" => (name, "q"),
        name => (name, name),
    });
    let (name, value) = text.split_once('=').ok_or_else(|| format!("{text:?} is not NAME=VALUE, nor all"))?;
    let known = names.into_iter().find(|(ours, theirs)| *ours == name || *theirs == name);
    let (_, name) = known.ok_or_else(|| format!("{name:?} is none of {}", FILTERS.join(", ")))?;
    Ok((name, json!(value)))
}

impl Discard {
    pub(super) async fn run(self, console: &Console) -> Result<(), Failure> {
        for id in &self.ids {
            let letter = console.client.delete(&LETTER.at(id), &[("reason", Some(self.reason.clone()))]).await?;
            LETTER.tell(console, &letter)?;
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
    fn a_filter_is_named_as_the_options_are_and_nonsense_is_told() {
        assert_eq!(filter("reason=undecodable"), Ok(("reason", json!("undecodable"))));
        assert_eq!(filter("controller=a=b"), Ok(("controller_id", json!("a=b"))));
        assert_eq!(filter("search=boom"), Ok(("q", json!("boom"))));
        assert_eq!(filter("all"), Ok(("all", json!(true))));
        assert!(filter("reson=x").unwrap_err().contains("none of reason"));
        assert!(filter("everything").unwrap_err().contains("NAME=VALUE"));
    }
}
