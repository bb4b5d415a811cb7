//! Applications through the API.

use anyhow::Result;
use poem::http::Method;
use serde_json::{Value, json};

use crate::app::{Answer, App, request};

const APPLICATIONS: &str = "/api/v1/applications";
const TEXT: &str = "\
apiVersion: stream.space/v1alpha1
kind: Template
metadata: { name: paint }
spec:
  displayName: Paint
  local: { command: [\"true\"] }
";

async fn install(app: &App, body: Value) -> Answer {
    app.post(APPLICATIONS, "application/json", body.to_string()).await
}

#[tokio::test]
async fn an_application_is_accepted_shown_listed_and_taken_back() -> Result<()> {
    let app = App::start().await?;
    let accepted = install(&app, json!({ "manifest": TEXT })).await;
    assert_eq!(accepted.status, 202, "{accepted:?}");
    let path = accepted.header("location").to_owned();
    let shown = app.get(&path).await.json;
    assert_eq!((&shown["manifest"], &shown["install_status"]), (&json!(TEXT), &json!("pending")));
    assert_eq!((&shown["in_use_by"], &shown["platform"]), (&json!(0), &json!("local")));
    assert!(shown["reason"].as_str().unwrap().contains("no controller"), "{shown}");
    let again = install(&app, json!({ "manifest": TEXT })).await;
    assert_eq!(again.json["install_id"], shown["install_id"], "the same manifest answers what is there");
    let listed = app.get(&format!("{APPLICATIONS}?status=pending&template_name=paint")).await.json;
    assert_eq!(listed["items"].as_array().unwrap().len(), 1);
    let gone = app.call(Method::DELETE, &path).await;
    assert_eq!((gone.status, &gone.json["install_status"]), (200, &json!("uninstalled")));
    let log = app.get(&format!("{path}/events")).await.json;
    assert_eq!(log["items"][0]["subject"], "streamspace.app.install", "{log}");
    assert_eq!(app.get(APPLICATIONS).await.json["items"], json!([]));
    Ok(())
}

#[tokio::test]
async fn a_wrong_manifest_is_refused_with_its_line() -> Result<()> {
    let app = App::start().await?;
    let wrong = TEXT.replace("name: paint", "name: PAINT");
    let not_local = TEXT.replace("  local: { command: [\"true\"] }\n", "");
    for (body, line) in [
        (json!({ "manifest": wrong }), "line 3"),
        (json!({ "manifest": "kind: Template\nspec: [\n" }), "line"),
        (json!({ "manifest": not_local }), "line 4"),
        (json!({ "manifest": TEXT, "template_name": "paint" }), "exactly one"),
    ] {
        let refused = install(&app, body).await;
        assert_eq!((refused.status, refused.problem()), (422, "invalid-fields"), "{refused:?}");
        assert_eq!(refused.fields(), ["manifest"]);
        assert!(refused.json["errors"][0]["rule"].as_str().unwrap().contains(line), "{refused:?}");
    }
    let unknown = install(&app, json!({ "template_name": "nowhere" })).await;
    assert_eq!(unknown.fields(), ["template_name"]);
    assert_eq!(app.get(&format!("{APPLICATIONS}/{}", uuid::Uuid::nil())).await.status, 404);
    Ok(())
}

#[tokio::test]
async fn an_install_that_is_sent_again_under_its_key_is_answered_as_it_was() -> Result<()> {
    let app = App::start().await?;
    let put = async || {
        let post = request(Method::POST, APPLICATIONS).content_type("application/json");
        app.send(post.header("idempotency-key", "i").body(json!({ "manifest": TEXT }).to_string())).await
    };
    let first = put().await;
    app.call(Method::DELETE, first.header("location")).await;
    let again = put().await;
    assert_eq!((again.status, &again.text, again.header("idempotent-replayed")), (202, &first.text, "true"));
    assert_eq!(app.get(APPLICATIONS).await.json["items"], json!([]), "it stays uninstalled");
    Ok(())
}
