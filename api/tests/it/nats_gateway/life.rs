//! A complete life cycle over NATS, and restarts of engines and servers.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use engine::Engine;
use engine::clock::Clock;
use futures::StreamExt;
use migrations::testing::TestDatabase;
use poem::EndpointExt;
use serde_json::{Value, json};
use streams::async_nats::Client;
use streams::testing::nats;
use tokio_util::sync::CancellationToken;

use super::{Desk, Reply, listening, plain, serve};
use crate::app::{config, until};

/// A controller that knows only the contract's samples: it subscribes and publishes.
fn controller(client: Client) {
    tokio::spawn(async move {
        let mut commands = client.subscribe("streamspace.session.*.local").await?;
        let mut beat = tokio::time::interval(Duration::from_millis(200));
        loop {
            tokio::select! {
                _ = beat.tick() => {
                    let heartbeat = json!({ "controller_id": "plain-1", "platform": "local", "status": "healthy",
                        "timestamp": chrono::Utc::now(), "capabilities": ["sessions"] });
                    client.publish("streamspace.controller.heartbeat", heartbeat.to_string().into()).await?;
                }
                Some(command) = commands.next() => {
                    let order: Value = serde_json::from_slice(&command.payload)?;
                    let status = match command.subject.split('.').nth(2).unwrap_or_default() {
                        "hibernate" => "hibernated",
                        "delete" => "deleted",
                        _ => "running",
                    };
                    let report = json!({ "event_id": uuid::Uuid::now_v7(), "timestamp": chrono::Utc::now(),
                        "session_id": order["session_id"], "status": status, "causation_id": order["event_id"] });
                    client.publish("streamspace.session.status", report.to_string().into()).await?;
                }
                else => return anyhow::Ok(()),
            }
        }
    });
}

async fn until_it_is(desk: &Desk, id: &str, status: &str) {
    let payload = json!({ "session_id": id }).to_string();
    let is = async || {
        let reply = desk.ask("ada", "session.get", payload.clone()).await;
        reply.is_ok_and(|reply| reply.json["status"] == status)
    };
    until(status, is).await;
}

#[tokio::test]
async fn a_session_lives_its_whole_life_over_nats() -> Result<()> {
    let desk = Desk::open().await?;
    controller(plain(&desk.app.nats).await?);
    let ready = async || {
        let reply = desk.ask("ada", "controller.get", json!({ "controller_id": "plain-1" }).to_string()).await;
        reply.is_ok_and(|reply| reply.json["accepting"] == true)
    };
    until("the controller is known", ready).await;
    let created = desk.ask("ada", "session.create", json!({ "template_id": "scratchpad" }).to_string()).await?;
    assert_eq!(
        (created.status, created.header("Content-Type")),
        (202, "application/json; charset=utf-8"),
        "{created:?}"
    );
    let id = created.json["session_id"].as_str().context("an id")?.to_owned();
    assert_eq!(created.header("Location"), format!("/api/v1/sessions/{id}"));
    assert_eq!(created.json["user_id"], "ada", "the subject says who it is for");
    until_it_is(&desk, &id, "running").await;
    let payload = json!({ "session_id": id }).to_string();
    assert_eq!(desk.ask("ada", "session.activity", payload.clone()).await?.status, 200);
    for (action, reached) in [("hibernate", "hibernated"), ("wake", "running"), ("delete", "deleted")] {
        let asked = desk.ask("ada", &format!("session.{action}"), payload.clone()).await?;
        assert_eq!(asked.status, 202, "{asked:?}");
        until_it_is(&desk, &id, reached).await;
    }
    let listed = desk.ask("ada", "session.list", json!({ "status": "all", "limit": 1 }).to_string()).await?;
    assert_eq!((listed.status, &listed.json["items"][0]["session_id"]), (200, &json!(id)));
    Ok(())
}

#[tokio::test]
async fn the_bare_command_subjects_stay_reserved() -> Result<()> {
    let desk = Desk::open().await?;
    let body = json!({ "template_id": "scratchpad", "user_id": "ada", "platform": "local" }).to_string();
    let asked = desk.client.request("streamspace.session.create", body.into()).await;
    assert!(asked.is_err(), "nobody listens there: {asked:?}");
    let all = desk.app.get("/api/v1/sessions?status=all").await;
    assert_eq!(all.json["items"], json!([]));
    Ok(())
}

#[tokio::test]
async fn two_engines_share_the_requests_and_each_is_done_once() -> Result<()> {
    let (database, nats) = (TestDatabase::postgres().await?, nats().await);
    let mut served = Vec::new();
    for _ in 0..2 {
        let link = nats.link().await?;
        let engine = Engine::start(engine::Config {
            database: database.database.clone(),
            link: link.clone(),
            streams: streams::topology::Settings::default(),
            default_platform: "local".into(),
            clock: Clock::default(),
            outbox_limit: engine::OUTBOX_LIMIT,
            retention: None,
            admission: machine::admission::Policy::Open,
        })
        .await?;
        let router = Arc::new(api::router(config(), engine.clone()).boxed());
        let cancel = CancellationToken::new();
        let serving = serve(router, config(), link.client.clone(), cancel.clone()).await?;
        served.push((engine, cancel, serving));
    }
    let client = plain(&nats).await?;
    let ask = || client.request("streamspace.intake.ada.session.create", r#"{"template_id":"scratchpad"}"#.into());
    for reply in futures::future::try_join_all((0..60).map(|_| ask())).await? {
        assert_eq!(Reply::from(reply).status, 202);
    }
    let made =
        engine::queries::sessions(served[0].0.reader(), &Default::default(), Default::default(), None, 200).await?;
    assert_eq!(made.len(), 60);
    for (engine, cancel, serving) in served {
        cancel.cancel();
        serving.await?;
        engine.stop().await;
    }
    Ok(())
}

#[tokio::test]
async fn a_server_that_was_gone_is_listened_to_again() -> Result<()> {
    let mut desk = Desk::open().await?;
    desk.app.nats.restart().await?;
    listening(&desk.client).await?;
    assert_eq!(desk.ask("ada", "session.list", "").await?.status, 200);
    Ok(())
}

#[tokio::test]
async fn what_was_taken_before_the_end_is_answered() -> Result<()> {
    let desk = Desk::open().await?;
    let inbox = desk.client.new_inbox();
    let mut replies = desk.client.subscribe(inbox.clone()).await?;
    for _ in 0..100 {
        let body = r#"{"template_id":"scratchpad"}"#.into();
        desk.client.publish_with_reply("streamspace.intake.ada.session.create", inbox.clone(), body).await?;
    }
    listening(&desk.client).await?; // it came behind them: the server has handed them all on
    desk.cancel.cancel();
    desk.serving.await?;
    for n in 0..100 {
        let reply =
            tokio::time::timeout(Duration::from_secs(10), replies.next()).await.context(format!("reply {n}"))?;
        assert_eq!(Reply::from(reply.context("open")?).status, 202);
    }
    let after = desk.client.request("streamspace.intake.ada.session.list", "".into()).await;
    assert!(after.is_err(), "nobody listens any more: {after:?}");
    Ok(())
}
