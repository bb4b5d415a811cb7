//! What a refusal of the server (`application/problem+json`) means on a command line: one line, and an exit code.

use reqwest::{Method, StatusCode, Url};
use serde_json::Value;

use crate::failure::{Failure, Kind};
use crate::output::cell;

/// What the server says of a path that it does not have.
const NO_PATH: &str = "there is nothing at this path";

/// The failure of an answer that is none.
pub(super) fn failure(status: StatusCode, body: &[u8], method: &Method, url: &Url) -> Failure {
    let problem: Value = serde_json::from_slice(body).unwrap_or_default();
    let failure = if older(status, &problem) {
        Failure::new(Kind::Older, format!("this server is older than this program, and has no {method} {}", url.path()))
            .hint("a newer server, or --server with another address")
    } else {
        let failure = Failure::new(kind(status), message(status, &problem));
        match hint(status, &problem) {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    };
    let failure = failure.detail(format!("{method} {url}: {status}"));
    let said = ["type", "detail", "instance", "state"].map(|name| (name, cell(&problem, name)));
    said.into_iter()
        .filter(|(_, text)| !text.is_empty())
        .fold(failure, |failure, (name, text)| failure.detail(format!("{name}: {text}")))
}

/// Whether the server does not know what was asked, rather than what it was asked about.
fn older(status: StatusCode, problem: &Value) -> bool {
    let unknown = status == StatusCode::NOT_FOUND && cell(problem, "detail").starts_with(NO_PATH);
    unknown || status == StatusCode::METHOD_NOT_ALLOWED
}

const fn kind(status: StatusCode) -> Kind {
    match status {
        StatusCode::NOT_FOUND => Kind::NotFound,
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Kind::Forbidden,
        StatusCode::CONFLICT | StatusCode::PRECONDITION_FAILED => Kind::Conflict,
        StatusCode::GONE => Kind::Gone,
        StatusCode::TOO_MANY_REQUESTS
        | StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT => Kind::Unavailable,
        _ => Kind::Failed,
    }
}

/// What was wrong: every field where fields are named, else the detail, else the title.
fn message(status: StatusCode, problem: &Value) -> String {
    let fields: Vec<String> =
        mistakes(problem).map(|one| format!("{}: {}", cell(one, "field"), cell(one, "rule"))).collect();
    if !fields.is_empty() {
        return fields.join("; ");
    }
    let said = ["detail", "title"].into_iter().map(|name| cell(problem, name)).find(|text| !text.is_empty());
    said.unwrap_or_else(|| format!("the server answered {status}"))
}

fn hint(status: StatusCode, problem: &Value) -> Option<String> {
    let mut hints: Vec<String> =
        mistakes(problem).map(|one| cell(one, "hint")).filter(|hint| !hint.is_empty()).collect();
    hints.dedup();
    if !hints.is_empty() {
        return Some(hints.join("; "));
    }
    if let Some(allowed) = problem["allowed"].as_array().filter(|allowed| !allowed.is_empty()) {
        let allowed: Vec<&str> = allowed.iter().filter_map(Value::as_str).collect();
        return Some(format!("{}, which its state permits", allowed.join(" or ")));
    }
    match status {
        StatusCode::UNAUTHORIZED => Some("--token with the token of this server, or another --context".into()),
        StatusCode::FORBIDDEN => Some("the token of somebody who may".into()),
        StatusCode::PRECONDITION_FAILED => Some("read it again, and decide anew".into()),
        StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => Some("the same again in a moment".into()),
        _ => None,
    }
}

fn mistakes(problem: &Value) -> impl Iterator<Item = &Value> {
    problem["errors"].as_array().into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(status: StatusCode, body: &[u8]) -> Failure {
        failure(status, body, &Method::GET, &Url::parse("http://server/api/v1/jobs").unwrap())
    }

    #[test]
    fn every_field_and_every_way_out_is_in_the_line() {
        let body = br#"{"status":422,"title":"t","detail":"d","errors":[
            {"field":"template_id","rule":"there is no template \"x\"","hint":"list them"},
            {"field":"platform","rule":"is unknown","hint":"use local"}]}"#;
        let failure = failed(StatusCode::UNPROCESSABLE_ENTITY, body);
        assert_eq!(failure.message, "template_id: there is no template \"x\"; platform: is unknown");
        assert_eq!(failure.hint.as_deref(), Some("list them; use local"));
        assert_eq!(failure.kind, Kind::Failed);
    }

    #[test]
    fn an_answer_of_somebody_else_is_told_by_its_status() {
        let failure = failed(StatusCode::BAD_GATEWAY, b"<html>");
        assert_eq!(
            (failure.kind, failure.message.as_str()),
            (Kind::Unavailable, "the server answered 502 Bad Gateway")
        );
    }

    #[test]
    fn an_older_server_is_told_from_a_thing_that_is_not_there() {
        let path =
            failed(StatusCode::NOT_FOUND, br#"{"detail":"there is nothing at this path; /docs lists what there is"}"#);
        assert!(path.message.contains("older") && path.message.contains("GET /api/v1/jobs"), "{path:?}");
        let thing = failed(StatusCode::NOT_FOUND, br#"{"detail":"there is no job 7"}"#);
        assert_eq!((thing.kind, thing.message.as_str()), (Kind::NotFound, "there is no job 7"));
    }
}
