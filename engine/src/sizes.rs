//! How large what is accepted may be, so that it can be carried: from what the command stream and the server really take.
//!
//! What is too large is refused at the door, by the writer, whichever door it came through. The server's limits may shrink
//! afterwards: then the relay ends the command that does not fit.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;
use streams::wire::Manifest;

use crate::request::{FieldError, Invalid};

/// What a stream counts of a command besides its payload: its headers and its subject, in bytes at most.
const HEADERS: usize = 2 << 10;
/// What the command of a session has besides its template, in bytes at most: above all 16 KiB of metadata, as PostgreSQL
/// writes them, and the user's id.
const BESIDE: usize = 32 << 10;
/// Before the streams were looked at: what a server takes that was left as it comes.
const USUAL: usize = (1 << 20) - (16 << 10);

/// What commands and templates may have. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Sizes(Arc<AtomicUsize>);

impl Default for Sizes {
    fn default() -> Self {
        Self(Arc::new(AtomicUsize::new(USUAL)))
    }
}

impl Sizes {
    /// Bytes of a message that the command stream takes, and that the server does.
    pub(crate) fn learn(&self, stream: i64, server: usize) {
        let stream = usize::try_from(stream).ok().filter(|most| *most > 0).unwrap_or(server);
        self.0.store(stream.min(server), Ordering::Relaxed);
    }

    /// Bytes of a command's payload at most.
    pub(crate) fn command(&self) -> usize {
        self.0.load(Ordering::Relaxed).saturating_sub(HEADERS)
    }

    /// Bytes of a template at most, as JSON, so that the command of any session of it fits.
    pub(crate) fn template(&self) -> usize {
        self.command().saturating_sub(BESIDE)
    }

    /// A template must leave its sessions room.
    pub(crate) fn check_template(&self, manifest: &Manifest) -> Result<(), Invalid> {
        let tree = serde_json::to_value(manifest).unwrap_or_default();
        let (bytes, most) = (carried(&tree.to_string()), self.template());
        if bytes <= most {
            return Ok(());
        }
        let (field, largest) = largest(&tree);
        let name = &manifest.metadata.name;
        let rule = format!(
            "has {largest} bytes, the most in template {name:?}; a template may have {most} bytes in all, because NATS carries it with \
             each session's command, and this one has {bytes}"
        );
        Err(refused(
            field,
            rule,
            "shorten it, or keep it elsewhere and refer to it; an operator can raise nats-server's max_payload",
        ))
    }

    /// The same of an application, whose manifest is carried as the text that it is.
    pub(crate) fn check_application(&self, text: &str, manifest: &Manifest) -> Result<(), Invalid> {
        self.check_template(manifest)?;
        let (bytes, most) = (Value::from(text).to_string().len(), self.template());
        if bytes <= most {
            return Ok(());
        }
        let rule =
            format!("has {bytes} bytes as it is sent, and {most} is the most that NATS carries with its command");
        Err(refused("manifest".into(), rule, "shorten it; an operator can raise nats-server's max_payload"))
    }

    /// A session whose template, which was accepted under other limits, would not fit its command.
    pub(crate) fn check_session(&self, template_id: &str, template: &str) -> Result<(), Invalid> {
        let most = self.template();
        if template.len() <= most / 2 {
            return Ok(()); // however it is written
        }
        let bytes = carried(template);
        if bytes <= most {
            return Ok(());
        }
        let rule = format!(
            "template {template_id:?} has {bytes} bytes, and {most} is the most that NATS carries with a session's command"
        );
        Err(refused(
            "template_id".into(),
            rule,
            "write a shorter version of the template, or choose another; an operator can raise nats-server's max_payload",
        ))
    }
}

fn refused(field: String, rule: String, hint: &str) -> Invalid {
    Invalid(vec![FieldError { field, rule, hint: hint.into() }])
}

/// Bytes of JSON as PostgreSQL writes it: with a space after each comma and each colon.
fn carried(json: &str) -> usize {
    let (mut spaces, mut in_text, mut escaped) = (0, false, false);
    for byte in json.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            b',' | b':' if !in_text => spaces += 1,
            _ => {}
        }
    }
    json.len() + spaces
}

/// Where the longest text is, and its bytes.
fn largest(tree: &Value) -> (String, usize) {
    let at = |name: String, (path, bytes): (String, usize)| {
        let dot = if path.is_empty() || path.starts_with('[') { "" } else { "." };
        (format!("{name}{dot}{path}"), bytes)
    };
    let longest = match tree {
        Value::String(text) => Some((String::new(), text.len())),
        Value::Array(items) => {
            let each = items.iter().enumerate().map(|(i, item)| at(format!("[{i}]"), largest(item)));
            each.max_by_key(|(_, bytes)| *bytes)
        }
        Value::Object(fields) => {
            let each = fields.iter().map(|(name, value)| at(name.chars().take(64).collect(), largest(value)));
            each.max_by_key(|(_, bytes)| *bytes)
        }
        _ => None,
    };
    longest.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_carried_is_counted_as_postgresql_writes_it() {
        assert_eq!(carried(r#"{"a":[1,2],"b":"x,:\",y"}"#), r#"{"a": [1, 2], "b": "x,:\",y"}"#.len());
    }

    #[test]
    fn the_largest_text_is_named() {
        let tree =
            json!({ "metadata": { "name": "a" }, "spec": { "env": [{ "value": "xxxx" }], "description": "yyy" } });
        assert_eq!(largest(&tree), ("spec.env[0].value".into(), 4));
    }

    #[test]
    fn the_smaller_of_stream_and_server_counts() {
        let sizes = Sizes::default();
        sizes.learn(-1, 500_000);
        assert_eq!(sizes.command(), 500_000 - HEADERS);
        sizes.learn(100_000, 500_000);
        assert_eq!(sizes.template(), 100_000 - HEADERS - BESIDE);
    }
}
