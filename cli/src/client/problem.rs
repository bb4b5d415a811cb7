//! Turns a refusal of the server (`application/problem+json`) into a failure of the command: one line and an exit code.
//!
//! The server words its hints for HTTP. Where a hint has a code, it is worded here as the command to run instead.

use reqwest::{Method, StatusCode, Url};
use serde_json::Value;

use crate::failure::{Failure, Kind};
use crate::output::cell;

/// How the detail begins if the server does not have a path.
const NO_PATH: &str = "there is nothing at this path";

/// The failure for an answer other than success.
pub(super) fn failure(status: StatusCode, body: &[u8], method: &Method, url: &Url) -> Failure {
    let problem: Value = serde_json::from_slice(body).unwrap_or_default();
    let failure = if older(status, &problem) {
        Failure::new(Kind::Older, "this server is older than this program and does not support this command")
            .hint("update the server, or choose another with --server or --context")
    } else {
        let failure = Failure::new(kind(status), message(status, &problem));
        match hint(status, &problem) {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    };
    let failure = failure.detail(format!("{method} {url}: {status}"));
    let texts = ["type", "detail", "instance", "state"].map(|name| (name, cell(&problem, name)));
    texts
        .into_iter()
        .filter(|(_, text)| !text.is_empty())
        .fold(failure, |failure, (name, text)| failure.detail(format!("{name}: {text}")))
}

/// Whether the server lacks the operation, as opposed to the thing that it was asked about.
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

/// The mistakes of all fields if there are any, else the detail, else the title.
fn message(status: StatusCode, problem: &Value) -> String {
    let fields: Vec<String> =
        mistakes(problem).map(|one| format!("{}: {}", cell(one, "field"), cell(one, "rule"))).collect();
    if !fields.is_empty() {
        return fields.join("; ");
    }
    match cell(problem, "type").as_str() {
        "/problems/unauthorized" => return "the server does not accept this token".into(),
        "/problems/precondition-failed" => return "another request has changed it meanwhile".into(),
        _ => {}
    }
    let texts = ["detail", "title"].into_iter().map(|name| cell(problem, name)).find(|text| !text.is_empty());
    texts.unwrap_or_else(|| format!("the server answered {status}"))
}

fn hint(status: StatusCode, problem: &Value) -> Option<String> {
    let mut hints: Vec<String> = mistakes(problem).chain([problem]).filter_map(worded).collect();
    hints.dedup();
    if !hints.is_empty() {
        return Some(hints.join("; "));
    }
    if let Some(allowed) = problem["allowed"].as_array().filter(|allowed| !allowed.is_empty()) {
        let allowed: Vec<&str> = allowed.iter().filter_map(Value::as_str).collect();
        return Some(format!("its state permits {}", allowed.join(" or ")));
    }
    match status {
        StatusCode::UNAUTHORIZED => Some("use the token of this server with --token, or another --context".into()),
        StatusCode::FORBIDDEN => Some("use a token with the necessary rights".into()),
        StatusCode::PRECONDITION_FAILED => Some("read it again before you decide".into()),
        StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => {
            Some("run the command again in a moment".into())
        }
        _ => None,
    }
}

/// The hint of a mistake or of the whole problem: a command if its code is known here, else the server's words.
fn worded(part: &Value) -> Option<String> {
    let known = match part["hint_code"].as_str() {
        Some("list_templates") => {
            Some("choose one of `streamspace template list`, or add it with `streamspace template apply FILE`")
        }
        Some("list_platforms") => Some("choose a platform of `streamspace platform list`"),
        Some("force") => Some("delete those sessions first, or add --force: they keep what they were created from"),
        Some("list_again") => Some("read the present state with `list` or `get`, and watch from now on"),
        Some("see_document") => Some("see --help of this command"),
        _ => None,
    };
    known.map(str::to_owned).or_else(|| Some(cell(part, "hint")).filter(|hint| !hint.is_empty()))
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
    fn a_hint_with_a_known_code_names_the_command_to_run() {
        let body = br#"{"errors":[
            {"field":"template_id","rule":"r","hint":"GET /api/v1/templates lists them","hint_code":"list_templates"},
            {"field":"memory","rule":"r","hint":"write it as 512Mi","hint_code":"of_a_later_server"}]}"#;
        let hint = failed(StatusCode::UNPROCESSABLE_ENTITY, body).hint.unwrap();
        assert!(hint.contains("`streamspace template list`") && hint.contains("write it as 512Mi"), "{hint}");
        assert!(!hint.contains("/api/v1"), "{hint}");
        let in_use = br#"{"detail":"2 sessions use it","hint":"ask with force=true","hint_code":"force","errors":[]}"#;
        let failure = failed(StatusCode::CONFLICT, in_use);
        assert!(failure.hint.as_deref().is_some_and(|hint| hint.contains("--force")), "{failure:?}");
    }

    #[test]
    fn an_answer_that_is_no_problem_document_is_described_by_its_status() {
        let failure = failed(StatusCode::BAD_GATEWAY, b"<html>");
        assert_eq!(
            (failure.kind, failure.message.as_str()),
            (Kind::Unavailable, "the server answered 502 Bad Gateway")
        );
    }

    #[test]
    fn an_older_server_is_distinguished_from_a_missing_thing() {
        let path =
            failed(StatusCode::NOT_FOUND, br#"{"detail":"there is nothing at this path; /docs lists what there is"}"#);
        assert!(path.message.contains("older") && !path.message.contains("/api/v1"), "{path:?}");
        assert!(path.details.iter().any(|detail| detail.contains("GET http://server/api/v1/jobs")), "{path:?}");
        let thing = failed(StatusCode::NOT_FOUND, br#"{"detail":"there is no job 7"}"#);
        assert_eq!((thing.kind, thing.message.as_str()), (Kind::NotFound, "there is no job 7"));
    }
}
