//! Integers: the document states their bounds, and a larger one is refused by name, however many digits it has.

use anyhow::Result;
use poem::http::Method;
use serde_json::Value;

use crate::app::{App, request};

fn document() -> Value {
    serde_json::from_str(&api::document("0")).expect("JSON")
}

fn is_whole(schema: &Value) -> bool {
    let kind = &schema["type"];
    kind == "integer" || kind.as_array().is_some_and(|kinds| kinds.iter().any(|kind| kind == "integer"))
}

/// Method, path and description of every operation.
fn operations(document: &Value) -> Vec<(Method, String, &Value)> {
    let paths = document["paths"].as_object().into_iter().flatten();
    let each =
        paths.flat_map(|(path, all)| all.as_object().into_iter().flatten().map(move |(method, it)| (method, path, it)));
    each.map(|(method, path, it)| (method.to_uppercase().parse().unwrap(), format!("/api/v1{path}"), it)).collect()
}

/// A value for a placeholder.
fn filled(path: &str) -> String {
    let segments = path.split('/');
    let fill = |segment: &str| {
        if segment.starts_with('{') { "0198f3c2-7a10-7b3e-9d51-2f6ac04e8b17".into() } else { segment.to_owned() }
    };
    segments.map(fill).collect::<Vec<_>>().join("/")
}

const TOO_LARGE: [&str; 3] = ["18446744073709551616", "-9223372036854775809", "1e400"];

/// The numbers above, and one of 309 digits.
fn numbers() -> Vec<String> {
    TOO_LARGE.iter().map(|text| (*text).to_owned()).chain(["9".repeat(309)]).collect()
}

#[test]
fn the_document_says_how_large_every_whole_number_may_be() {
    fn walk(value: &Value, at: &str) {
        if is_whole(value) && value.get("enum").is_none() {
            assert!(value["maximum"].is_number() && value["minimum"].is_number(), "{at}: {value}");
        }
        match value {
            Value::Object(all) => all.iter().for_each(|(name, value)| walk(value, &format!("{at}/{name}"))),
            Value::Array(all) => all.iter().enumerate().for_each(|(n, value)| walk(value, &format!("{at}/{n}"))),
            _ => {}
        }
    }
    let document = document();
    walk(&document["paths"], "paths");
    walk(&document["components"]["schemas"], "schemas");
}

#[tokio::test]
async fn a_parameter_that_is_too_large_is_refused_by_its_name() -> Result<()> {
    let (app, document, mut tried) = (App::start().await?, document(), 0);
    for (method, path, operation) in operations(&document) {
        let parameters = operation["parameters"].as_array().into_iter().flatten();
        for name in parameters.filter(|it| is_whole(&it["schema"])).filter_map(|it| it["name"].as_str()) {
            for number in numbers() {
                let answer = app.call(method.clone(), &format!("{}?{name}={number}", filled(&path))).await;
                assert_eq!(
                    (answer.problem(), answer.fields()),
                    ("invalid-parameter", vec![name]),
                    "{method} {path} {number}"
                );
                tried += 1;
            }
        }
    }
    assert!(tried >= 4 * numbers().len(), "{tried}");
    Ok(())
}

#[tokio::test]
async fn a_field_that_is_too_large_is_refused() -> Result<()> {
    let (app, document, mut tried) = (App::start().await?, document(), 0);
    for (method, path, operation) in operations(&document) {
        let schema = &operation["requestBody"]["content"]["application/json"];
        let name = schema["schema"]["$ref"].as_str().and_then(|name| name.rsplit('/').next()).unwrap_or_default();
        let fields = document["components"]["schemas"][name]["properties"].as_object().into_iter().flatten();
        for field in fields.filter(|(_, schema)| is_whole(schema)).map(|(field, _)| field) {
            for number in numbers().into_iter().chain(["4294967296".into(), "-1".into()]) {
                let mut body = schema["example"].clone();
                body[field] = "the number".into();
                let body = body.to_string().replace("\"the number\"", &number);
                let ask = request(method.clone(), &filled(&path)).content_type("application/json").body(body);
                let answer = app.send(ask).await;
                let known = number.parse::<i64>().is_ok();
                assert!(
                    matches!(answer.status, 400 | 422) && !answer.problem().is_empty(),
                    "{path} {field}: {answer:?}"
                );
                assert!(!known || answer.fields() == [field.as_str()], "{path} {field} {number}: {answer:?}");
                tried += 1;
            }
        }
    }
    assert!(tried > 2, "{tried}");
    Ok(())
}
