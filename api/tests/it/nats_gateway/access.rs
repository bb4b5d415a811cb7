//! Users see and change their own sessions, and can change nothing else. Derived from the API document, so that
//! no operation is left out.

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::Desk;
use crate::homes::keeper;

/// Operations that every user may call; others that are not about one session are for administrators.
const OPEN: [&str; 8] = [
    "session.create",
    "session.list",
    "template.list",
    "template.get",
    "controller.list",
    "controller.get",
    "platform.list",
    "home.list",
];

/// `<domain>.<action>` and path of every operation.
fn operations() -> Result<Vec<(String, String)>> {
    let document: Value = serde_json::from_str(&api::document("0"))?;
    let mut all = Vec::new();
    for (path, methods) in document["paths"].as_object().context("paths")? {
        for operation in methods.as_object().context("methods")?.values() {
            if operation.to_string().contains("text/event-stream") || !operation["responses"]["101"].is_null() {
                continue; // it has no end, and is for HTTP only
            }
            let id = operation["operationId"].as_str().context("an id")?;
            let (verb, nouns) = id.split_once('_').context("a verb and a noun")?;
            let action = if verb == "touch" { "activity" } else { verb };
            all.push((format!("{}.{action}", nouns.strip_suffix('s').unwrap_or(nouns)), path.clone()));
        }
    }
    Ok(all)
}

#[tokio::test]
async fn every_operation_is_the_owners_or_open_or_the_administrators() -> Result<()> {
    let desk = Desk::open().await?;
    let hers = desk.ask("ada", "session.create", r#"{"template_id":"scratchpad"}"#).await?.json;
    let payload = json!({ "id": hers["session_id"], "name": "scratchpad", "controller_id": "x" });
    let operations = operations()?;
    for (name, path) in &operations {
        // only what the path needs
        let mut fields = payload.as_object().context("fields")?.clone();
        fields.retain(|field, _| path.contains(&format!("{{{field}}}")));
        for placeholder in path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')) {
            fields.entry(placeholder).or_insert_with(|| hers["session_id"].clone());
        }
        let reply = desk.ask("eve", name, Value::Object(fields).to_string()).await?;
        if path.starts_with("/sessions/{id}") {
            assert_eq!((reply.status, reply.problem()), (404, "not-found"), "{name} of another's session: {reply:?}");
        } else if OPEN.contains(&name.as_str()) {
            assert!(![401, 403].contains(&reply.status), "{name}: {reply:?}");
        } else {
            assert_eq!((reply.status, reply.problem()), (403, "forbidden"), "{name}: {reply:?}");
        }
    }
    assert!(operations.len() >= 15 && OPEN.iter().all(|open| operations.iter().any(|(name, _)| name == open)));
    let after = desk.ask("ada", "session.get", json!({ "session_id": hers["session_id"] }).to_string()).await?;
    assert_eq!(after.json, hers, "nothing came of it");
    Ok(())
}

#[tokio::test]
async fn no_spelling_of_an_id_goes_round_the_owner() -> Result<()> {
    let desk = Desk::open().await?;
    let hers = desk.ask("ada", "session.create", r#"{"template_id":"scratchpad"}"#).await?.json;
    let id = hers["session_id"].as_str().context("an id")?;
    let bare = id.replace('-', "");
    for spelt in
        [id.to_uppercase(), bare.clone(), format!("{{{id}}}"), format!("urn:uuid:{id}"), id.replace('-', "%2D")]
    {
        let payload = json!({ "session_id": spelt }).to_string();
        let reply = desk.ask("eve", "session.delete", payload).await?;
        assert!([400, 404].contains(&reply.status), "{spelt}: {reply:?}");
    }
    for path in [format!("{id}/"), format!("../sessions/{id}"), format!("{bare}?force=true")] {
        let reply = desk.ask("eve", "session.delete", json!({ "session_id": path }).to_string()).await?;
        assert_eq!(reply.status, 400, "{path}: {reply:?}");
    }
    let after = desk.ask("ada", "session.get", json!({ "session_id": id }).to_string()).await?;
    assert_eq!(after.json, hers, "nothing came of it");
    Ok(())
}

#[tokio::test]
async fn nobody_asks_for_anothers_sessions_or_in_anothers_name() -> Result<()> {
    let desk = Desk::open().await?;
    desk.ask("ada", "session.create", r#"{"template_id":"scratchpad"}"#).await?;
    let made = desk.ask("eve", "session.create", r#"{"template_id":"scratchpad","user_id":"ada"}"#).await?;
    assert_eq!((made.status, made.problem()), (403, "forbidden"));
    let listed = desk.ask("eve", "session.list", r#"{"user_id":"ada"}"#).await?;
    assert_eq!((listed.status, listed.problem()), (403, "forbidden"));
    assert_eq!(desk.ask("eve", "session.list", "").await?.json["items"], json!([]));
    assert_eq!(desk.ask("ada", "session.list", "").await?.json["items"].as_array().map(Vec::len), Some(1));
    Ok(())
}

#[tokio::test]
async fn nobody_is_the_administrator_and_names_are_what_they_must_be() -> Result<()> {
    let desk = Desk::open().await?;
    let reply = desk.ask("admin", "session.list", "").await?;
    assert_eq!((reply.status, reply.problem()), (403, "forbidden"));
    for user in ["ädä", &"a".repeat(65), "a%2Fb"] {
        let reply = desk.ask(user, "session.list", "").await?;
        assert_eq!((reply.status, reply.problem()), (400, "invalid-parameter"), "{user}");
    }
    for name in ["session.frobnicate", "healthz.get", "session.create_session"] {
        let reply = desk.ask("ada", name, "").await?;
        assert_eq!((reply.status, reply.problem()), (404, "not-found"), "{name}");
    }
    assert_eq!(desk.ask("ada", "session", "").await?.status, 400);
    assert_eq!(desk.ask("ada", "session.list.docker", "").await?.status, 400);
    Ok(())
}

#[tokio::test]
async fn a_user_reads_the_logs_of_their_own_sessions_and_sees_their_own_homes() -> Result<()> {
    let desk = Desk::open().await?;
    // it is about all users, whoever is asked for
    keeper(&desk.app, |question| match question["ask"].as_str() {
        Some("log") => json!({ "log": { "text": "hers", "kept_bytes": 4 } }),
        _ => json!({ "homes": [{ "name": "a", "user_id": "ada" }, { "name": "e", "user_id": "eve" }] }),
    })
    .await?;
    let hers = desk.ask("ada", "session.create", r#"{"template_id":"scratchpad","platform":"noop"}"#).await?.json;
    let payload = json!({ "session_id": hers["session_id"] }).to_string();
    assert_eq!(desk.ask("ada", "session_log.get", payload.clone()).await?.json["text"], "hers");
    let others = desk.ask("eve", "session_log.get", payload).await?;
    assert_eq!((others.status, others.problem()), (404, "not-found"));

    let homes = desk.ask("eve", "home.list", "").await?.json;
    assert_eq!(homes["items"].as_array().map(Vec::len), Some(1), "{homes}");
    assert_eq!(homes["items"][0]["user_id"], "eve");
    let named = desk.ask("eve", "home.list", r#"{"user_id":"ada"}"#).await?;
    assert_eq!((named.status, named.problem()), (403, "forbidden"));
    let deleted = desk.ask("eve", "home.delete", r#"{"controller_id":"noop-1","name":"a"}"#).await?;
    assert_eq!((deleted.status, deleted.problem()), (403, "forbidden"));
    Ok(())
}
