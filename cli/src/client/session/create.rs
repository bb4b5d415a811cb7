//! The options of a new session.

use serde_json::{Map, Value, json};

use super::change::pair;
use crate::client::wait::Wait;

#[derive(Debug, clap::Args)]
pub(super) struct Create {
    /// Name of the template, such as scratchpad
    template: String,
    /// Platform to run on [default: the server's]
    #[arg(long)]
    platform: Option<String>,
    /// User it is for [default: the caller]
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// Memory limit, such as 512Mi or 2Gi
    #[arg(long)]
    memory: Option<String>,
    /// CPU limit, such as 500m or 2
    #[arg(long)]
    cpu: Option<String>,
    /// Label that its controller must have; may be repeated
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    selector: Vec<(String, String)>,
    /// Idle time after which it is hibernated, such as 30m
    #[arg(long, value_name = "TIME")]
    idle_timeout: Option<String>,
    /// Longest time that it may run without a break, such as 8h
    #[arg(long, value_name = "TIME")]
    max_duration: Option<String>,
    /// Use the user's own home, which outlives the session
    #[arg(long)]
    persistent_home: bool,
    /// Tag, for filters; may be repeated
    #[arg(long, value_name = "TAG")]
    tag: Vec<String>,
    #[command(flatten)]
    pub(super) wait: Wait,
}

impl Create {
    /// The body of the request.
    pub(super) fn body(&self) -> Value {
        let mut body = Map::from_iter([("template_id".to_owned(), json!(self.template))]);
        body.extend(given([
            ("platform", &self.platform),
            ("user_id", &self.user),
            ("idle_timeout", &self.idle_timeout),
            ("max_duration", &self.max_duration),
        ]));
        let resources: Map<_, _> = given([("memory", &self.memory), ("cpu", &self.cpu)]).collect();
        if !resources.is_empty() {
            body.insert("resources".into(), Value::Object(resources));
        }
        if !self.selector.is_empty() {
            let pairs = self.selector.iter().map(|(name, value)| (name.clone(), json!(value)));
            body.insert("selector".into(), Value::Object(pairs.collect()));
        }
        if self.persistent_home {
            body.insert("persistent_home".into(), json!(true));
        }
        if !self.tag.is_empty() {
            body.insert("tags".into(), json!(self.tag));
        }
        Value::Object(body)
    }
}

/// The values that were given.
pub(super) fn given<const N: usize>(texts: [(&str, &Option<String>); N]) -> impl Iterator<Item = (String, Value)> {
    texts.into_iter().filter_map(|(name, text)| Some((name.to_owned(), json!(text.as_ref()?))))
}
