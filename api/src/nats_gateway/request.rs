//! Converts a message to a request: subject and payload become method, path, query and body.

use bytes::Bytes;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use poem::Request;
use poem::http::{HeaderValue, Uri, header};
use serde_json::{Map, Value};
use streams::async_nats::{HeaderMap, Message};

use super::operations::Operation;
use crate::body;
use crate::headers::CONDITIONS;
use crate::problem::{Kind, Problem};

/// Headers passed on unchanged, besides conditions.
const PASSED: [&str; 1] = [streams::trace::HEADER];
/// Identifies the request, so that it can be repeated.
const KEY: &str = "Idempotency-Key";
/// The publisher's message id; used as the key if there is no other.
const MESSAGE_ID: &str = "Nats-Msg-Id";

/// Headers that may appear once.
const SINGLE: [&str; 3] = [KEY, MESSAGE_ID, "Content-Type"];

/// Characters to encode in paths and queries: all but RFC 3986's unreserved ones.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The parts of a payload.
struct Parts {
    path: String,
    query: Vec<(String, String)>,
    body: Bytes,
}

/// Builds the request of a message.
pub(super) fn request(operation: &Operation, message: &Message) -> Result<Request, Problem> {
    for name in SINGLE.into_iter().chain(CONDITIONS) {
        if values(message.headers.as_ref(), name).nth(1).is_some() {
            return Err(Problem::parameter(name, "appears more than once", "send it once"));
        }
    }
    let given = |name: &str| values(message.headers.as_ref(), name).next();
    let parts = parts(operation, &message.payload)?;
    let mut request = Request::builder().method(operation.method.clone()).uri(uri(&parts)?);
    if operation.body {
        request = request.header(header::CONTENT_TYPE, given("Content-Type").unwrap_or("application/json".into()));
    }
    let key = given(KEY).or_else(|| given(MESSAGE_ID));
    let others = PASSED.into_iter().chain(CONDITIONS).filter_map(|name| Some((name, given(name)?)));
    for (name, value) in others.chain(key.map(|key| (KEY, key))) {
        // a condition that was silently dropped would break its promise
        let unfit = |_| Problem::parameter(name, "must be printable ASCII", "check the message's headers");
        request = request.header(name, HeaderValue::try_from(value).map_err(unfit)?);
    }
    Ok(request.body(parts.body))
}

/// Values of a header: NATS keeps the case of its name, HTTP ignores it.
fn values<'a>(headers: Option<&'a HeaderMap>, name: &'a str) -> impl Iterator<Item = String> + 'a {
    let all = headers.into_iter().flat_map(HeaderMap::iter);
    let named = all.filter(move |(found, _)| found.to_string().eq_ignore_ascii_case(name));
    named.flat_map(|(_, values)| values).map(|value| value.as_str().to_owned())
}

/// Distributes the payload: fields of the path and the query go there, the rest forms the body, if the
/// operation has one.
fn parts(operation: &Operation, payload: &Bytes) -> Result<Parts, Problem> {
    let (mut fields, is_object) = fields(operation, payload)?;
    let count = fields.len();
    let path = path(operation, &mut fields)?;
    let mut query = Vec::new();
    for name in &operation.query {
        query.extend(fields.remove(name).and_then(text).map(|text| (name.clone(), text)));
    }
    if !operation.body {
        query.extend(fields.into_iter().filter_map(|(name, value)| Some((name, text(value)?)))); // the gate refuses unknown names
        return Ok(Parts { path, query, body: Bytes::new() });
    }
    let untouched = !is_object || fields.len() == count;
    let body = if untouched { payload.clone() } else { Value::Object(fields).to_string().into() };
    Ok(Parts { path, query, body })
}

/// The payload's fields. Only a body may be something other than an object; its operation checks that.
fn fields(operation: &Operation, payload: &Bytes) -> Result<(Map<String, Value>, bool), Problem> {
    if payload.is_empty() {
        return Ok((Map::new(), false));
    }
    match body::json(payload)? {
        Value::Object(fields) => Ok((fields, true)),
        _ if operation.body => Ok((Map::new(), false)),
        _ => Err(Problem::new(Kind::MalformedBody, "the payload must be a JSON object, or empty")),
    }
}

/// Fills placeholders of the path from fields; `{id}` in `/sessions/{id}` is `id` or `session_id`.
fn path(operation: &Operation, fields: &mut Map<String, Value>) -> Result<String, Problem> {
    let (mut path, mut noun) = (String::new(), "");
    for segment in operation.path.split('/').skip(1) {
        path.push('/');
        let Some(name) = segment.strip_prefix('{').and_then(|segment| segment.strip_suffix('}')) else {
            path.push_str(segment);
            noun = segment.strip_suffix('s').unwrap_or(segment);
            continue;
        };
        let field = if name == "id" { format!("{noun}_id") } else { name.to_owned() };
        let found = fields.remove(&field).or_else(|| fields.remove(name)).and_then(text);
        let found = found.filter(|found| !found.is_empty()).ok_or_else(|| missing(&field))?;
        path.extend(utf8_percent_encode(&found, ENCODED));
    }
    Ok(path)
}

fn missing(field: &str) -> Problem {
    Problem::parameter(field, "is missing", format!("send it in the payload, as {{\"{field}\": \"...\"}}"))
}

/// A value as a query parameter; null counts as absent.
fn text(value: Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text),
        other => Some(other.to_string()),
    }
}

fn uri(parts: &Parts) -> Result<Uri, Problem> {
    let encode = |text: &str| utf8_percent_encode(text, ENCODED).to_string();
    let pairs: Vec<String> = parts.query.iter().map(|(k, v)| format!("{}={}", encode(k), encode(v))).collect();
    let mark = if pairs.is_empty() { "" } else { "?" };
    let uri = format!("{}{mark}{}", parts.path, pairs.join("&"));
    uri.parse().map_err(|_| Problem::parameter("payload", "has values that are too long for a path", "shorten them"))
}
