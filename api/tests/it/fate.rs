//! The fate of events through the API.

use anyhow::{Context, Result};
use migrations::testing::TestDatabase;
use serde_json::json;
use uuid::Uuid;

use crate::app::{App, until};

#[tokio::test]
async fn the_fate_of_a_command_tells_where_it_is_until_it_is_done() -> Result<()> {
    for database in [TestDatabase::sqlite().await?, TestDatabase::postgres().await?] {
        let app = App::on(&database).await?;
        let session = app.session(json!({ "template_id": "scratchpad", "platform": "local" })).await.json;
        let log =
            app.get(&format!("/api/v1/sessions/{}/events", session["session_id"].as_str().context("an id")?)).await;
        let items = log.json["items"].as_array().context("a log")?;
        let command = items.iter().find(|row| row["kind"] == "command").context("a command")?;
        let path = format!("/api/v1/events/{}/fate", command["event_id"].as_str().context("an id")?);
        let waiting = app.get(&path).await;
        assert_eq!((waiting.status, &waiting.json["verdict"]), (200, &json!("waiting")), "{waiting:?}");
        assert!(waiting.json["sentence"].as_str().is_some_and(|text| text.contains("local")), "{waiting:?}");
        let controller = app.controller_of("local").await?;
        controller.report_next("running").await?;
        until("it is done", async || app.get(&path).await.json["verdict"] == "completed").await;
        let done = app.get(&path).await.json;
        let steps: Vec<&str> =
            done["hops"].as_array().context("hops")?.iter().filter_map(|hop| hop["step"].as_str()).collect();
        assert_eq!((steps.first(), steps.last()), (Some(&"accepted"), Some(&"completed")), "{done}");
        app.engine.stop().await;
    }
    Ok(())
}

#[tokio::test]
async fn there_is_no_fate_of_what_never_was_or_is_no_id() -> Result<()> {
    let app = App::start().await?;
    let nothing = app.get(&format!("/api/v1/events/{}/fate", Uuid::now_v7())).await;
    assert_eq!((nothing.status, nothing.problem()), (404, "not-found"));
    let nonsense = app.get("/api/v1/events/nonsense/fate").await;
    assert_eq!((nonsense.status, nonsense.problem(), nonsense.fields()), (400, "invalid-parameter", vec!["event_id"]));
    Ok(())
}
