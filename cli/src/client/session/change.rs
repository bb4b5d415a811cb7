//! Changes an existing session: its tags, metadata and idle timeout, and how long it may run.

use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::shape::SESSION;
use crate::client::Console;
use crate::failure::{Failure, Kind};
use crate::output::cell;

/// Attempts to apply a change of tags when another client changes the session in between.
const TRIES: usize = 5;

#[derive(Debug, clap::Args)]
pub(super) struct Extend {
    /// Session ID
    id: Uuid,
    /// How much longer, such as 30m
    #[arg(long, value_name = "TIME")]
    by: String,
}

impl Extend {
    pub(super) async fn run(&self, console: &Console) -> Result<(), Failure> {
        let path = format!("{}/extend", SESSION.at(self.id));
        let session = console.client.post(&path, Some(&json!({ "by": self.by }))).await?;
        SESSION.show(console, &session)
    }
}

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = true)]
pub(super) struct Changes {
    /// +TAG adds a tag, -TAG removes it; may be repeated
    #[arg(long, value_name = "+TAG|-TAG", allow_hyphen_values = true)]
    tag: Vec<String>,
    /// KEY=VALUE sets a value, KEY= removes it; may be repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = pair)]
    metadata: Vec<(String, String)>,
    /// Idle time after which it is hibernated, such as 30m, or none
    #[arg(long, value_name = "TIME|none")]
    idle_timeout: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(super) struct Patch {
    /// Session ID
    id: Uuid,
    #[command(flatten)]
    changes: Changes,
}

impl Patch {
    pub(super) async fn run(&self, console: &Console) -> Result<(), Failure> {
        let path = SESSION.at(self.id);
        for _ in 1..TRIES {
            match self.once(console, &path).await {
                Err(failure) if failure.kind == Kind::Conflict && !self.changes.tag.is_empty() => {}
                patched => return SESSION.show(console, &patched?),
            }
        }
        SESSION.show(console, &self.once(console, &path).await?)
    }

    /// Tags are replaced as a whole, so they are read first, and written only if unchanged since.
    async fn once(&self, console: &Console, path: &str) -> Result<Value, Failure> {
        let mut patch = self.changes.patch();
        let mut version = None;
        if !self.changes.tag.is_empty() {
            let session = console.client.get(path, &[]).await?;
            patch.insert("tags".into(), json!(self.changes.tags(&session)));
            version =
                session.get("revision").map(|revision| format!("\"{}.{revision}\"", cell(&session, "generation")));
        }
        console.client.patch(path, &Value::Object(patch), version.as_deref()).await
    }
}

impl Changes {
    fn patch(&self) -> Map<String, Value> {
        let mut patch = Map::new();
        if !self.metadata.is_empty() {
            let value = |text: &str| if text.is_empty() { Value::Null } else { json!(text) };
            let pairs = self.metadata.iter().map(|(key, text)| (key.clone(), value(text)));
            patch.insert("metadata".into(), Value::Object(pairs.collect()));
        }
        if let Some(text) = &self.idle_timeout {
            patch.insert("idle_timeout".into(), if text == "none" { Value::Null } else { json!(text) });
        }
        patch
    }

    fn tags(&self, session: &Value) -> Vec<String> {
        let old = session["tags"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let mut tags: Vec<String> = old.map(str::to_owned).collect();
        for change in &self.tag {
            let name = change.trim_start_matches(['+', '-']);
            tags.retain(|tag| tag != name);
            if !change.starts_with('-') {
                tags.push(name.to_owned());
            }
        }
        tags
    }
}

pub(super) fn pair(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').filter(|(key, _)| !key.is_empty()).ok_or("must be KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_named_stays_as_it_is() {
        let changes = Changes {
            tag: vec!["+b".into(), "-a".into(), "c".into()],
            metadata: vec![("k".into(), "v".into()), ("gone".into(), String::new())],
            idle_timeout: Some("none".into()),
        };
        assert_eq!(changes.tags(&json!({ "tags": ["a", "b", "z"] })), ["z", "b", "c"]);
        assert_eq!(
            Value::Object(changes.patch()),
            json!({ "metadata": { "k": "v", "gone": null }, "idle_timeout": null })
        );
    }
}
