//! Operators' actions on controllers, and what everyone can see of them.

use anyhow::Result;
use poem::http::Method;
use serde_json::{Value, json};

use crate::app::{Answer, App, request};

const ORDERS: &str = "/api/v1/admin/controllers/noop-1/breaker";

async fn post(app: &App, path: &str, body: &Value) -> Answer {
    app.post(path, "application/json", body.to_string()).await
}

async fn delete(app: &App, path: &str) -> Answer {
    app.send(request(Method::DELETE, path).finish()).await
}

async fn order(app: &App, action: &str) -> Answer {
    post(app, ORDERS, &json!({ "action": action, "reason": "its disk is full" })).await
}

async fn breaker(app: &App) -> Value {
    app.get("/api/v1/controllers/noop-1").await.json["breaker"].clone()
}

#[tokio::test]
async fn an_operator_opens_holds_releases_and_closes_a_breaker_and_the_log_tells() -> Result<()> {
    let app = App::start().await?;
    let _controller = app.controller().await?;
    let fresh = app.get("/api/v1/controllers/noop-1").await.json;
    assert_eq!(fresh["retry_budget"], json!({ "left": 20, "burst": 20, "per_second": 2.0, "next_at": null }));
    assert_eq!(fresh["breaker"]["kinds"], json!({ "driver": 0, "platform": 0, "timeout": 0, "unreachable": 0 }));
    for (action, state, held) in [
        ("open", "open", false),
        ("hold_open", "open", true),
        ("release", "open", false),
        ("close", "closed", false),
        ("hold_closed", "closed", true),
        ("release", "closed", false),
    ] {
        let answer = order(&app, action).await;
        assert_eq!(answer.status, 200, "{action}: {answer:?}");
        let shown = &answer.json["breaker"];
        assert_eq!((&shown["state"], &shown["held"]), (&json!(state), &json!(held)), "{action}");
        if held {
            assert_eq!((&shown["opened_by"], &shown["reason"]), (&json!("operator:admin"), &json!("its disk is full")));
        }
    }
    assert_eq!(breaker(&app).await["opened_by"], Value::Null);
    let log = app.get("/api/v1/events?entity=controller:noop-1&limit=200").await.json;
    let by = log["items"].as_array().into_iter().flatten().filter(|row| row["payload"]["by"] == "admin");
    assert!(by.clone().all(|row| row["payload"]["note"] == "its disk is full" && row["kind"] == "decision"));
    assert_eq!(by.count(), 6, "{log}");
    Ok(())
}

#[tokio::test]
async fn a_breaker_that_is_open_shows_when_it_is_probed_and_why_nobody_is_taken() -> Result<()> {
    let app = App::start().await?;
    let _controller = app.controller().await?;
    let shown = order(&app, "open").await.json;
    assert!(shown["breaker"]["retry_at"].is_string() && shown["breaker"]["since"].is_string(), "{shown}");
    assert_eq!(shown["accepting"], false);
    assert!(shown["reason"].as_str().is_some_and(|why| why.contains("its disk is full")), "{shown}");
    Ok(())
}

#[tokio::test]
async fn a_bad_order_names_what_is_wrong_with_it() -> Result<()> {
    let app = App::start().await?;
    let _controller = app.controller().await?;
    for (body, field) in [
        (json!({ "action": "explode", "reason": "x" }), "action"),
        (json!({ "action": "open" }), "reason"),
        (json!({ "action": "open", "reason": " " }), "reason"),
        (json!({ "action": "open", "reason": "x".repeat(501) }), "reason"),
        (json!({ "action": "open", "reason": "x", "force": true }), "force"),
    ] {
        let answer = post(&app, ORDERS, &body).await;
        assert_eq!((answer.status, answer.fields()), (422, vec![field]), "{body}: {answer:?}");
    }
    let nobody = json!({ "action": "open", "reason": "x" });
    let answer = post(&app, "/api/v1/admin/controllers/nobody/breaker", &nobody).await;
    assert_eq!((answer.status, answer.problem()), (404, "not-found"));
    Ok(())
}

#[tokio::test]
async fn a_revoked_controller_says_who_why_and_which_job_and_is_reinstated() -> Result<()> {
    let app = App::start().await?;
    let _controller = app.controller().await?;
    let path = |what: &str| format!("/api/v1/admin/controllers/noop-1/{what}");
    let why = json!({ "reason": "the host is gone" });
    let silent = post(&app, &path("revoke"), &json!({})).await;
    assert_eq!((silent.status, silent.fields()), (422, vec!["reason"]), "{silent:?}");
    let accepted = post(&app, &path("revoke"), &why).await;
    assert_eq!((accepted.status, &accepted.json["kind"]), (202, &json!("sessions.move")), "{accepted:?}");
    let shown = app.get("/api/v1/controllers/noop-1").await.json;
    assert_eq!((&shown["revoked"], &shown["accepting"], &shown["owed"]), (&json!(true), &json!(false), &json!(0)));
    let revocation = &shown["revocation"];
    assert_eq!((&revocation["by"], &revocation["reason"]), (&json!("admin"), &json!("the host is gone")));
    assert_eq!(revocation["job_id"], accepted.json["job_id"]);
    let again = post(&app, &path("revoke"), &json!({ "reason": "gone, I say" })).await;
    assert_eq!((again.status, &again.json["job_id"]), (202, &accepted.json["job_id"]), "{again:?}");
    let back = post(&app, &path("reinstate"), &json!({ "reason": "it is repaired" })).await;
    assert_eq!((back.status, &back.json["revoked"]), (200, &json!(false)), "{back:?}");
    assert_eq!(back.json["revocation"], Value::Null);
    let nobody = post(&app, "/api/v1/admin/controllers/nobody/revoke", &why).await;
    assert_eq!((nobody.status, nobody.problem()), (404, "not-found"));
    Ok(())
}

#[tokio::test]
async fn a_newcomer_is_shown_and_admitted_reset_and_removed_by_an_operator() -> Result<()> {
    let app = App::start().await?;
    let _controller = app.controller().await?;
    let link = app.nats.link().await?;
    let beat = json!({ "controller_id": "noop-2", "platform": "noop", "timestamp": "2026-01-01T00:00:00Z",
        "status": "healthy", "capabilities": ["sessions"], "protocol": 2, "world_id": "0198f3c2-7a11-7c02-8f10-5b7a1de0c9aa" });
    let own = "streamspace.controller.heartbeat.noop.noop-2";
    link.client.request(own, beat.to_string().into()).await?;
    link.client.request("streamspace.controller.heartbeat", beat.to_string().into()).await?;
    let shown = app.get("/api/v1/controllers/noop-2").await.json;
    assert_eq!(
        (&shown["admitted"], &shown["own_subject"]),
        (&json!(true), &json!(true)),
        "the bus of tests is open: {shown}"
    );
    assert_eq!(shown["impostors"]["refused"], 1, "{shown}");

    let plain = json!({ "controller_id": "noop-3", "platform": "noop", "timestamp": "2026-01-01T00:00:00Z",
        "status": "healthy", "capabilities": ["sessions"], "interval_seconds": 3600 });
    link.client.request("streamspace.controller.heartbeat", plain.to_string().into()).await?;
    let shown = app.get("/api/v1/controllers/noop-3").await.json;
    assert_eq!((&shown["admitted"], &shown["accepting"]), (&json!(false), &json!(false)));
    assert_eq!(shown["heartbeat_interval"], "1m");
    assert!(shown["reason"].as_str().is_some_and(|why| why.contains("admit noop-3")), "{shown}");

    let path = |what: &str| format!("/api/v1/admin/controllers/noop-3/{what}");
    let why = json!({ "reason": "it is ours" });
    let second = post(&app, &path("admit"), &why).await;
    assert_eq!((second.status, second.problem()), (409, "conflict"), "{second:?}");
    let reset = post(&app, &path("reset"), &why).await;
    assert_eq!((reset.status, &reset.json["status"]), (200, &json!("unknown")), "{reset:?}");
    let silent = post(&app, &path("admit"), &json!({})).await;
    assert_eq!((silent.status, silent.fields()), (422, vec!["reason"]), "{silent:?}");
    let gone = delete(&app, "/api/v1/controllers/noop-3").await;
    assert_eq!((gone.status, &gone.json["controller_id"]), (200, &json!("noop-3")), "{gone:?}");
    assert_eq!(app.get("/api/v1/controllers/noop-3").await.status, 404);
    let speaks = delete(&app, "/api/v1/controllers/noop-1?reason=gone").await;
    assert_eq!((speaks.status, speaks.problem()), (409, "conflict"), "{speaks:?}");
    let nobody = delete(&app, "/api/v1/controllers/nobody").await;
    assert_eq!((nobody.status, nobody.problem()), (404, "not-found"));
    Ok(())
}

#[tokio::test]
async fn the_queue_shows_what_waits_and_counts_it() -> Result<()> {
    let app = App::start().await?;
    let nothing = app.get("/api/v1/queue").await;
    assert_eq!((nothing.status, &nothing.json["items"]), (200, &json!([])));
    for user in ["ada", "ada", "bob"] {
        assert_eq!(app.session(json!({ "template_id": "scratchpad", "user_id": user })).await.status, 202);
    }
    let first = app.get("/api/v1/queue?limit=2").await.json;
    let cursor = first["next_cursor"].as_str().unwrap_or_default();
    let second = app.get(&format!("/api/v1/queue?limit=2&cursor={cursor}")).await.json;
    let items: Vec<&Value> =
        [&first, &second].into_iter().filter_map(|page| page["items"].as_array()).flatten().collect();
    let told: Vec<_> = items.iter().map(|item| (item["place"].as_i64(), item["user_id"].as_str())).collect();
    assert_eq!(told, [(Some(1), Some("ada")), (Some(2), Some("bob")), (Some(3), Some("ada"))]);
    assert!(items.iter().all(|item| item["waits_for"] == "place" && item["reason"].is_string()), "{items:?}");
    let bobs = app.get("/api/v1/queue?user_id=bob&platform=local").await.json;
    assert_eq!(bobs["items"][0]["place"], 2);
    let foreign = app.get(&format!("/api/v1/queue?user_id=bob&cursor={cursor}")).await;
    assert_eq!((foreign.status, foreign.problem()), (400, "invalid-parameter"));
    let sums = app.get("/api/v1/queue/summary").await.json;
    assert_eq!(sums["items"][0]["count"], 3, "{sums}");
    Ok(())
}
