//! What a refusal of the server (`application/problem+json`) means on a command line: one line, and an exit code.

use reqwest::StatusCode;
use serde_json::Value;

use crate::failure::{Failure, Kind};
use crate::output::cell;

/// The failure of an answer that is none.
pub(super) fn failure(status: StatusCode, body: &[u8]) -> Failure {
    let problem: Value = serde_json::from_slice(body).unwrap_or_default();
    let failure = Failure::new(kind(status), message(status, &problem));
    match hint(status, &problem) {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

const fn kind(status: StatusCode) -> Kind {
    match status {
        StatusCode::NOT_FOUND => Kind::NotFound,
        StatusCode::CONFLICT | StatusCode::PRECONDITION_FAILED => Kind::Conflict,
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
        StatusCode::UNAUTHORIZED => Some("--token with the token of this server".into()),
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

    #[test]
    fn every_field_and_every_way_out_is_in_the_line() {
        let body = br#"{"status":422,"title":"t","detail":"d","errors":[
            {"field":"template_id","rule":"there is no template \"x\"","hint":"list them"},
            {"field":"platform","rule":"is unknown","hint":"use local"}]}"#;
        let failure = failure(StatusCode::UNPROCESSABLE_ENTITY, body);
        assert_eq!(failure.message, "template_id: there is no template \"x\"; platform: is unknown");
        assert_eq!(failure.hint.as_deref(), Some("list them; use local"));
        assert_eq!(failure.kind, Kind::Failed);
    }

    #[test]
    fn an_answer_of_somebody_else_is_told_by_its_status() {
        let failure = failure(StatusCode::BAD_GATEWAY, b"<html>");
        assert_eq!(
            (failure.kind, failure.message.as_str()),
            (Kind::Unavailable, "the server answered 502 Bad Gateway")
        );
    }
}
