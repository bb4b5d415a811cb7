//! Rules for texts, and the collector of their breaches.

use std::borrow::Cow;

use serde_json::Value;

use super::{Breach, DEPTH, FREE_JSON, LABEL, LABELS, URL, URL_SCHEMES, json};
use crate::wire::Object;

/// Whether a text is 1 to `max` characters without control characters.
#[must_use]
pub fn printable(text: &str, max: usize) -> bool {
    !text.is_empty() && text.chars().nth(max).is_none() && !text.chars().any(char::is_control)
}

/// Shortens a text to at most `max` characters, with a mark at its end.
///
/// ```
/// assert_eq!(streams::limits::shorten("short", 100), "short");
/// let long = streams::limits::shorten(&"é".repeat(5_000), 100).into_owned();
/// assert!(long.ends_with("é… [shortened from 5000 characters]") && long.chars().count() == 100);
/// ```
#[must_use]
pub fn shorten(text: &str, max: usize) -> Cow<'_, str> {
    if text.len() <= max || text.chars().nth(max).is_none() {
        return Cow::Borrowed(text);
    }
    let mark = format!("… [shortened from {} characters]", text.chars().count());
    let kept = max.saturating_sub(mark.chars().count());
    Cow::Owned(text.chars().take(kept).chain(mark.chars()).take(max).collect())
}

/// The part of a value that an error quotes.
pub(super) fn excerpt(text: &str) -> String {
    shorten(text, 64).replace(char::is_control, "\u{fffd}")
}

/// The scheme of a URL in lower case. Spaces and control characters, which browsers skip, are not part of it.
#[must_use]
pub fn url_scheme(url: &str) -> Option<String> {
    let (scheme, _) = url.split_once(':')?;
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
    (scheme.starts_with(|c: char| c.is_ascii_alphabetic()) && scheme.chars().all(legal))
        .then(|| scheme.to_ascii_lowercase())
}

/// Collects breaches.
#[derive(Debug, Default)]
pub struct Check(pub Vec<Breach>);

impl Check {
    /// Records a breach.
    pub fn add(&mut self, field: impl Into<String>, rule: impl Into<String>, hint: impl Into<String>) {
        self.0.push(Breach { field: field.into(), rule: rule.into(), hint: hint.into() });
    }

    /// Checks a name of 1 to `max` printable characters.
    pub fn name(&mut self, field: &str, text: &str, max: usize) {
        if !printable(text, max) {
            let rule = format!("must be 1 to {max} printable characters");
            self.add(field, rule, "shorten it, and remove control characters");
        }
    }

    /// Checks a name that may be absent or empty.
    pub fn maybe(&mut self, field: &str, text: Option<&str>, max: usize) {
        if let Some(text) = text.filter(|text| !text.is_empty()) {
            self.name(field, text, max);
        }
    }

    /// Checks a text of at most `max` characters, including line breaks and tabs.
    pub fn text(&mut self, field: &str, text: &str, max: usize) {
        if text.chars().nth(max).is_some() || text.contains('\0') {
            self.add(field, format!("must be at most {max} characters without NUL"), "shorten it");
        }
    }

    /// Checks that there are at most `max` items.
    pub fn count(&mut self, field: &str, count: usize, max: usize) {
        if count > max {
            self.add(field, format!("at most {max}"), "remove some");
        }
    }

    /// Checks tags or capabilities: at most `most` names of `max` characters.
    pub fn names(&mut self, field: &str, names: &[String], most: usize, max: usize) {
        self.count(field, names.len(), most);
        for (i, name) in names.iter().take(most).enumerate() {
            self.name(&format!("{field}[{i}]"), name, max);
        }
    }

    /// Checks labels: strings with short names.
    pub fn labels(&mut self, field: &str, labels: &Object) {
        self.count(field, labels.len(), LABELS);
        for (name, value) in labels.iter().take(LABELS) {
            let field = format!("{field}.{}", excerpt(name));
            self.name(&field, name, LABEL);
            match value.as_str() {
                Some(value) => self.name(&field, value, LABEL),
                None => self.add(&field, "must be a text", "labels are texts: write \"1\" for 1"),
            }
        }
    }

    /// Checks a free JSON object.
    pub fn free(&mut self, field: &str, value: &Value) {
        self.0.extend(json::tree_breaches(value, field, DEPTH));
        if value.to_string().len() > FREE_JSON {
            let rule = format!("must have at most {FREE_JSON} bytes of JSON");
            self.add(field, rule, "store large data elsewhere, and refer to it");
        }
    }

    /// Checks a URL that is shown as a link.
    pub fn url(&mut self, field: &str, url: &str) {
        let known = url_scheme(url).is_some_and(|scheme| URL_SCHEMES.contains(&scheme.as_str()));
        let plain = !url.chars().any(|c| c.is_control() || c.is_whitespace());
        if !known || !plain || url.chars().nth(URL).is_some() {
            let rule = format!(
                "must be an absolute URL of at most {URL} characters with the scheme {}",
                URL_SCHEMES.join(", ")
            );
            self.add(field, rule, "write it as https://host/path, without spaces");
        }
    }
}
