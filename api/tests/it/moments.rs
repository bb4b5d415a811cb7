//! Times are accepted in the same formats everywhere, and invalid ones are explained in plain words.

use anyhow::Result;
use poem::http::Method;
use serde_json::json;

use crate::app::App;

const EVERYWHERE: [&str; 5] = [
    "/api/v1/events?since=",
    "/api/v1/events?until=",
    "/api/v1/admin/dlq?since=",
    "/api/v1/admin/dlq/groups?until=",
    "at",
];

#[tokio::test]
async fn times_dates_and_how_long_ago_are_understood_wherever_a_time_is_taken() -> Result<()> {
    let app = App::start().await?;
    let session = app.session(json!({ "template_id": "scratchpad" })).await;
    let at = format!("/api/v1/sessions/{}?at=", session.json["session_id"].as_str().unwrap_or_default());
    for place in EVERYWHERE.map(|place| if place == "at" { at.as_str() } else { place }) {
        for time in ["2026-11-30T10:00:00Z", "2026-11-30", "10m", "1h30m"] {
            let answer = app.get(&format!("{place}{time}")).await;
            // a session that did not exist yet cannot be read
            assert!(
                answer.status == 200 || place == at && answer.problem() == "not-found",
                "{place}{time}: {answer:?}"
            );
        }
        let answer = app.get(&format!("{place}soon")).await;
        assert_eq!(answer.problem(), "invalid-parameter", "{answer:?}");
        assert!(answer.text.contains("2026-11-30") && !answer.text.contains("optional_"), "{answer:?}");
    }
    let filter = |since: &str| json!({ "filter": { "since": since }, "dry_run": true }).to_string();
    for time in ["2026-11-30T10:00:00Z", "2026-11-30", "10m"] {
        let answer = app.post("/api/v1/admin/dlq/replay", "application/json", filter(time)).await;
        assert_eq!(answer.status, 202, "{time}: {answer:?}");
    }
    let answer = app.post("/api/v1/admin/dlq/replay", "application/json", filter("soon")).await;
    assert_eq!(answer.problem(), "invalid-fields");
    assert_eq!(answer.fields(), ["filter.since"], "{answer:?}");
    Ok(())
}

#[tokio::test]
async fn pages_of_the_last_minutes_follow_one_another() -> Result<()> {
    let app = App::start().await?;
    for _ in 0..3 {
        app.session(json!({ "template_id": "scratchpad" })).await;
    }
    let first = app.get("/api/v1/events?since=10m&limit=1").await;
    let cursor = first.json["next_cursor"].as_str().unwrap_or_default().to_owned();
    let next = app.get(&format!("/api/v1/events?since=10m&limit=1&cursor={cursor}")).await;
    assert_eq!(next.status, 200, "{next:?}");
    let other = app.get(&format!("/api/v1/events?since=11m&limit=1&cursor={cursor}")).await;
    assert_eq!(other.fields(), ["cursor"]);
    Ok(())
}

#[tokio::test]
async fn a_parameter_that_cannot_be_read_is_told_of_without_the_names_of_types() -> Result<()> {
    let app = App::start().await?;
    let huge = "9".repeat(309);
    for (method, path, field, words) in [
        (Method::GET, "/api/v1/sessions/x".to_owned(), "id", "must be a UUID"),
        (
            Method::DELETE,
            "/api/v1/sessions/0198f3c2-7a10-7b3e-9d51-2f6ac04e8b17?force=perhaps".to_owned(),
            "force",
            "true or false",
        ),
        (Method::GET, "/api/v1/events?kind=rumour".to_owned(), "kind", "must be one of command, report, decision"),
        (Method::GET, "/api/v1/events?limit=many".to_owned(), "limit", "from 1 to 200"),
        (Method::GET, format!("/api/v1/events?limit={huge}"), "limit", "from 1 to 200"),
        (Method::GET, "/api/v1/events?since=".to_owned(), "since", "is not a time"),
    ] {
        let answer = app.call(method, &path).await;
        assert_eq!((answer.problem(), answer.fields()), ("invalid-parameter", vec![field]), "{answer:?}");
        let rule = answer.json["errors"][0]["rule"].as_str().unwrap_or_default();
        assert!(rule.contains(words), "{path}: {rule}");
        for odd in ["optional_", "failed to parse", "occurred while", "_uuid", "integer_"] {
            assert!(!answer.text.contains(odd), "{odd}: {answer:?}");
        }
    }
    Ok(())
}
