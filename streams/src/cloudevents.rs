//! CloudEvents 1.0 attributes in the headers of every published message (NATS protocol binding, binary mode).
//!
//! They are for third-party tools: nothing here reads them, and payloads do not depend on them. Headers that a
//! message already has are left alone, so that a parked message keeps the attributes of the original event.
//!
//! Source: CloudEvents specification 1.0.2, and its NATS protocol binding.

use std::borrow::Cow;
use std::str::FromStr;

use async_nats::{HeaderMap, HeaderName, HeaderValue};
use chrono::{SecondsFormat, Utc};
use uuid::Uuid;

use crate::ids::{ControllerId, Platform};
use crate::subject::{self, DEAD_LETTER_PREFIX, Sender};

/// Header: the entity that the event is about, as in the log: `session:<id>`.
pub const SUBJECT: &str = "ce-subject";
/// Header: the producer; [`ENGINE`], or a [`controller`].
pub const SOURCE: &str = "ce-source";
/// The engine's `ce-source`.
pub const ENGINE: &str = "/streamspace/engine";
/// Header: the media type of the payload, which CloudEvents calls `datacontenttype`.
pub const CONTENT_TYPE: &str = "content-type";

/// The headers of every event, in the order of the specification. Only parked messages may lack the content
/// type, because their payload may not be JSON.
pub const REQUIRED: [&str; 5] = ["ce-specversion", "ce-id", SOURCE, "ce-type", "ce-time"];

/// A controller's `ce-source`.
#[must_use]
pub fn controller(platform: &Platform, id: &ControllerId) -> String {
    format!("/streamspace/controllers/{platform}/{id}")
}

/// The `ce-type` of a subject: `dev.streamspace.session.create.v1`. The recipient is not part of it, and a
/// parked message keeps its type.
#[must_use]
pub fn event_type(subject: &str) -> String {
    let subject = original(subject);
    let said = subject.strip_prefix("streamspace.").unwrap_or(subject);
    let end = said.match_indices('.').nth(1).map_or(said.len(), |(end, _)| end);
    format!("dev.streamspace.{}.v1", &said[..end])
}

/// The headers of a message on this subject, about an entity if there is one. Headers that the message already
/// has take precedence.
#[must_use]
pub fn headers(subject: &str, id: &str, about: Option<&str>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let id = if id.is_empty() { Cow::Owned(Uuid::now_v7().to_string()) } else { Cow::Borrowed(id) };
    add(&mut headers, "ce-specversion", "1.0");
    add(&mut headers, "ce-id", &id);
    add(&mut headers, SOURCE, &source(subject));
    add(&mut headers, "ce-type", &event_type(subject));
    add(&mut headers, "ce-time", &Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true));
    if !subject.starts_with(DEAD_LETTER_PREFIX) {
        add(&mut headers, CONTENT_TYPE, "application/json");
    }
    if let Some(about) = about {
        add(&mut headers, SUBJECT, about);
    }
    headers
}

/// The producer on a subject: controllers send reports, the engine everything else.
fn source(subject: &str) -> Cow<'static, str> {
    match subject::parse_report(original(subject)) {
        Some((_, Sender::Durable(platform, id))) => controller(&platform, &id).into(),
        Some((_, Sender::Core)) => "/streamspace/controllers".into(),
        None => ENGINE.into(),
    }
}

fn original(subject: &str) -> &str {
    subject.strip_prefix(DEAD_LETTER_PREFIX).unwrap_or(subject)
}

/// Values that no header can carry are left out.
fn add(headers: &mut HeaderMap, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(HeaderName::from_static(name), value);
    }
}
