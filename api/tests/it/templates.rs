//! Templates through the API.

use anyhow::Result;
use poem::http::Method;
use serde_json::json;

use crate::app::App;

const CATALOG: &str = "\
# two applications
---
apiVersion: stream.space/v1alpha1
kind: Template
metadata: { name: firefox, namespace: workspaces }
spec:
  displayName: Firefox
  category: Web Browsers
  baseImage: lscr.io/linuxserver/firefox:latest
  kasmvnc: { enabled: true, port: 3000 }
  surprise: 1
---
apiVersion: stream.space/v1alpha1
kind: Template
metadata: { name: gimp }
spec: { displayName: GIMP, category: Graphics, baseImage: lscr.io/linuxserver/gimp }
";

#[tokio::test]
async fn a_catalog_of_several_documents_is_created_and_then_unchanged() -> Result<()> {
    let app = App::start().await?;
    let created = app.post("/api/v1/templates", "application/yaml", CATALOG).await;
    assert_eq!(created.status, 200, "{created:?}");
    let items = created.json["items"].as_array().unwrap();
    assert_eq!((&items[0]["name"], &items[0]["outcome"]), (&json!("firefox"), &json!("created")));
    assert!(items[0]["warnings"][0].as_str().unwrap().contains("spec.surprise"));
    assert_eq!((&items[1]["name"], &items[1]["warnings"]), (&json!("gimp"), &json!([])));
    let again = app.post("/api/v1/templates", "application/yaml; charset=utf-8", CATALOG).await;
    assert!(again.json["items"].as_array().unwrap().iter().all(|item| item["outcome"] == "unchanged"), "{again:?}");
    let firefox = app.get("/api/v1/templates/firefox").await.json;
    assert_eq!(firefox["manifest"]["spec"]["vnc"]["port"], 3000, "{firefox}");
    assert_eq!(firefox["manifest"]["metadata"]["namespace"], "workspaces");
    let listed = app.get("/api/v1/templates?category=Graphics").await.json;
    assert_eq!((listed["items"].as_array().unwrap().len(), &listed["items"][0]["name"]), (1, &json!("gimp")));
    Ok(())
}

#[tokio::test]
async fn one_wrong_document_refuses_all_and_is_named_with_its_place() -> Result<()> {
    let app = App::start().await?;
    let wrong = format!(
        "{CATALOG}---\napiVersion: stream.space/v1alpha1\nkind: Template\nmetadata: {{ name: UPPER }}\nspec: {{ displayName: x }}\n---\nkind: [\n"
    );
    let refused = app.post("/api/v1/templates", "application/yaml", wrong).await;
    assert_eq!((refused.status, refused.problem()), (422, "invalid-fields"));
    assert_eq!(refused.fields(), ["documents[2].metadata.name", "documents[3]"], "{refused:?}");
    let rule = refused.json["errors"][1]["rule"].as_str().unwrap();
    assert!(["line 22", "line 23", "line 24"].iter().any(|line| rule.contains(line)), "{rule}");
    assert_eq!(app.get("/api/v1/templates/firefox").await.status, 404);
    Ok(())
}

#[tokio::test]
async fn a_name_given_twice_and_a_changed_category_are_warned_about() -> Result<()> {
    let app = App::start().await?;
    let manifest = |category: &str| {
        json!({ "apiVersion": "stream.space/v1alpha1", "kind": "Template", "metadata": { "name": "krita" },
                "spec": { "displayName": "Krita", "category": category } })
    };
    let first = app.post("/api/v1/templates", "application/json", manifest("Graphics").to_string()).await;
    assert_eq!((first.status, &first.json["items"][0]["warnings"]), (200, &json!([])), "{first:?}");
    let twice = format!("{}\n---\n{}", manifest("Graphics"), manifest("Office"));
    let second = app.post("/api/v1/templates", "text/yaml", twice).await;
    let outcomes: Vec<&str> =
        second.json["items"].as_array().unwrap().iter().filter_map(|item| item["outcome"].as_str()).collect();
    assert_eq!(outcomes, ["unchanged", "updated"], "{second:?}");
    let warnings = second.json["items"][1]["warnings"].to_string();
    assert!(warnings.contains("same name") && warnings.contains("Office"), "{warnings}");
    assert_eq!(app.call(Method::DELETE, "/api/v1/templates/krita").await.status, 204);
    assert_eq!(app.call(Method::DELETE, "/api/v1/templates/krita").await.problem(), "not-found");
    Ok(())
}
