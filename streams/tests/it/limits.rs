//! Input at each limit is accepted; beyond it, it is refused by name, or shortened if it is text for people.

use proptest::prelude::*;
use serde_json::{Value, json};
use streams::limits::{self, Check, DEPTH, Error, Payload, json as strict};
use streams::wire::{AppStatus, Heartbeat, Manifest, NodeStatus, SessionStatus, TemplateCreate, World};

const ID: &str = "0190d0f0-7b4e-7c62-a1f0-0242ac120002";

fn nested(levels: usize) -> Value {
    (0..levels).fold(json!(1), |inner, _| json!({ "a": inner }))
}

fn breaches(text: &str) -> Vec<(String, String)> {
    let found = strict::breaches(text.as_bytes(), DEPTH).expect("JSON");
    found.into_iter().map(|breach| (breach.field, breach.rule)).collect()
}

#[test]
fn a_document_may_have_so_many_levels_and_no_more() {
    assert!(strict::document(nested(DEPTH).to_string().as_bytes()).is_ok());
    let error = strict::document(nested(DEPTH + 1).to_string().as_bytes()).expect_err("too deep").to_string();
    assert!(error.contains("is nested more than 32 levels deep") && error.starts_with("a.a.a"), "{error}");
    let arrays = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(strict::document(arrays.as_bytes()).is_err());
}

#[test]
fn equal_keys_are_refused_with_their_path_however_they_are_spelt() {
    let twice = breaches(r#"{"metadata":{"seats":[{"n":1,"n":2}],"b":1,"\u0062":2}}"#);
    let fields: Vec<&str> = twice.iter().map(|(field, _)| field.as_str()).collect();
    assert_eq!(fields, ["metadata.seats[0].n", "metadata.b"]);
    assert!(twice.iter().all(|(_, rule)| rule == "appears twice in one object"));
    assert_eq!(breaches(r#"{"a":{"x":1},"b":{"x":1}}"#), []);
}

#[test]
fn numbers_that_would_become_others_are_refused() {
    for kept in ["18446744073709551615", "-9223372036854775808", "0", "-0", "1.5", "1e308", "-2.5E-10"] {
        assert_eq!(breaches(&format!("{{\"n\":{kept}}}")), [], "{kept}");
    }
    for lost in ["18446744073709551616", "-9223372036854775809", "1e999", "-1e999", &"9".repeat(400)] {
        let found = breaches(&format!("{{\"n\":[{lost}]}}"));
        assert_eq!(found.len(), 1, "{lost}");
        assert_eq!(found[0].0, "n[0]", "{lost}");
        assert!(found[0].1.chars().count() < 150, "{lost}");
    }
}

#[test]
fn nul_characters_are_refused_in_names_and_in_texts() {
    let found = breaches(r#"{"a":"\u0000","b\u0000":["\\u0000"]}"#);
    assert_eq!(found.iter().map(|(field, _)| field.as_str()).collect::<Vec<_>>(), ["a", "b\u{fffd}"]);
}

#[test]
fn what_is_no_json_is_said_to_be_none() {
    for text in ["", "{", "{\"a\":}", "[1,]", "nul", "{\"a\":\"\\ud800\"}", "{\"a\":01}", "NaN", "1 2"] {
        assert!(matches!(strict::document(text.as_bytes()), Err(Error::Syntax(_))), "{text}");
    }
    assert!(matches!(strict::document(b"\"\xff\""), Err(Error::Syntax(_))));
}

#[test]
fn what_is_stored_is_read_although_it_would_not_be_accepted_today() {
    for levels in [1, 32, 127, 128, 140, 500] {
        let tree = nested(levels);
        assert_eq!(strict::stored::<Value>(tree.to_string().as_bytes()).expect("read"), tree, "{levels}");
    }
    let deeper = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(strict::stored::<Value>(deeper.as_bytes()).is_err());
}

proptest! {
    #[test]
    fn what_is_accepted_is_what_was_sent(keys in prop::collection::vec("[a-c\u{e9}\"]{0,3}", 0..6), number in any::<i64>()) {
        let fields: Vec<String> = keys.iter().map(|key| format!("{}:{number}", json!(key))).collect();
        let text = format!("{{{}}}", fields.join(","));
        let distinct = keys.iter().collect::<std::collections::BTreeSet<_>>().len() == keys.len();
        let read = strict::document(text.as_bytes());
        prop_assert_eq!(read.is_ok(), distinct);
        if let Ok(read) = read {
            prop_assert_eq!(read.as_object().map(serde_json::Map::len), Some(keys.len()));
        }
    }

    #[test]
    fn a_shortened_text_fits_says_so_and_stays_as_it_is(text in "\\PC{0,80}", max in 0usize..90) {
        let short = limits::shorten(&text, max).into_owned();
        prop_assert!(short.chars().count() <= max);
        prop_assert_eq!(limits::shorten(&short, max), short.as_str());
        prop_assert_eq!(short == text, text.chars().count() <= max);
    }
}

#[test]
fn a_url_is_one_that_a_browser_can_be_given() {
    let wrong = |url: &str| {
        let mut check = Check::default();
        check.url("url", url);
        !check.0.is_empty()
    };
    for good in
        ["http://127.0.0.1:20000/", "https://h/p?q#f", "HTTPS://h", "wss://h/x", "rdp://h:3389", "vnc://h", "ssh://h"]
    {
        assert!(!wrong(good), "{good}");
    }
    for bad in [
        "javascript:alert(1)",
        "JavaScript:alert(1)",
        " javascript:alert(1)",
        "java\tscript:alert(1)",
        "data:text/html,x",
        "file:///etc/passwd",
        "vbscript:x",
        "blob:http://h/x",
        "//h/p",
        "/p",
        "h/p",
        "",
        "http",
        "1http://h",
        "http://h/a b",
        "http://h/\u{0}",
        "http://h/\n",
    ] {
        assert!(wrong(bad), "{bad:?}");
    }
    assert!(!wrong(&format!("http://{}", "h".repeat(limits::URL - 7))));
    assert!(wrong(&format!("http://{}", "h".repeat(limits::URL - 6))));
}

/// A payload with one field set, by its JSON pointer.
fn with(mut payload: Value, pointer: &str, value: Value) -> Vec<u8> {
    let (parent, name) = pointer.rsplit_once('/').expect("a pointer");
    payload.pointer_mut(parent).expect("a parent")[name] = value;
    payload.to_string().into()
}

/// At `max` characters a field is accepted; beyond it the payload is refused, and the refusal names the field.
fn refuses<T: Payload>(payload: &Value, pointer: &str, max: usize, character: char) {
    let text = |length: usize| json!(character.to_string().repeat(length));
    let (kept, _) =
        limits::read::<T>(&with(payload.clone(), pointer, text(max))).map_err(|e| e.to_string()).expect(pointer);
    assert_eq!(kept.pointer(pointer), Some(&text(max)), "{pointer}");
    let Err(Error::Breaches(found)) = limits::read::<T>(&with(payload.clone(), pointer, text(max + 1))) else {
        panic!("{pointer} may be longer than {max}")
    };
    let path = pointer.trim_start_matches('/').replace('/', ".").replace(".0", "[0]");
    assert!(found.iter().any(|breach| breach.field.starts_with(&path)), "{pointer}: {found:?}");
}

/// At `max` characters a field is accepted; beyond it, it is shortened.
fn shortens<T: Payload>(payload: &Value, pointer: &str, max: usize) {
    for length in [max, max + 1, 716_800] {
        let read = limits::read::<T>(&with(payload.clone(), pointer, json!("é".repeat(length))));
        let (kept, _) = read.map_err(|e| e.to_string()).expect(pointer);
        let kept = kept.pointer(pointer).and_then(Value::as_str).expect(pointer);
        assert_eq!(kept.chars().count(), max, "{pointer}");
        assert_eq!(kept.ends_with(&format!("… [shortened from {length} characters]")), length > max, "{pointer}");
    }
}

fn status() -> Value {
    json!({ "event_id": ID, "timestamp": "2026-01-01T00:00:00Z", "session_id": ID, "status": "failed",
        "error": { "code": "boom", "message": "m", "retryable": true }, "resource_usage": {} })
}

#[test]
fn a_session_status_is_held_to_its_limits() {
    for (pointer, max) in
        [("/message", limits::MESSAGE), ("/phase", limits::PHASE), ("/error/message", limits::MESSAGE)]
    {
        shortens::<SessionStatus>(&status(), pointer, max);
    }
    for (pointer, max) in [
        ("/pod_name", limits::RESOURCE_NAME),
        ("/controller_id", limits::CORE_CONTROLLER_ID),
        ("/error/code", limits::CODE),
        ("/resource_usage/memory", limits::QUANTITY),
        ("/resource_usage/cpu", limits::QUANTITY),
    ] {
        refuses::<SessionStatus>(&status(), pointer, max, 'é');
    }
    let scripted = limits::read::<SessionStatus>(&with(status(), "/url", json!("javascript:alert(1)")));
    assert!(scripted.expect_err("refused").to_string().starts_with("url: must be an absolute URL"));
    for generation in [0, limits::GENERATION] {
        assert!(limits::read::<SessionStatus>(&with(status(), "/generation", json!(generation))).is_ok());
    }
    for generation in [-1, limits::GENERATION + 1, i64::MAX] {
        assert!(limits::read::<SessionStatus>(&with(status(), "/generation", json!(generation))).is_err());
    }
    let bulky = with(status(), "/more", json!("x".repeat(limits::REPORT)));
    assert!(limits::read::<SessionStatus>(&bulky).expect_err("refused").to_string().contains("65536 bytes"));
}

#[test]
fn an_application_status_is_held_to_its_limits() {
    let status = json!({ "event_id": ID, "timestamp": "2026-01-01T00:00:00Z", "install_id": ID, "status": "failed",
        "template_name": "t", "error": { "code": "boom", "message": "m", "retryable": true } });
    shortens::<AppStatus>(&status, "/message", limits::MESSAGE);
    shortens::<AppStatus>(&status, "/error/message", limits::MESSAGE);
    refuses::<AppStatus>(&status, "/template_name", limits::TEMPLATE_NAME, 'é');
    refuses::<AppStatus>(&status, "/template_namespace", limits::NAME, 'é');
    refuses::<AppStatus>(&status, "/controller_id", limits::CORE_CONTROLLER_ID, 'é');
    refuses::<AppStatus>(&status, "/error/code", limits::CODE, 'é');
}

#[test]
fn other_reports_are_held_to_their_limits() {
    let template = json!({ "event_id": ID, "timestamp": "2026-01-01T00:00:00Z", "template_name": "t", "display_name": "T",
        "manifest": "", "platform": "noop" });
    refuses::<TemplateCreate>(&template, "/template_name", limits::TEMPLATE_NAME, 'é');
    refuses::<TemplateCreate>(&template, "/display_name", limits::DISPLAY_NAME, 'é');
    refuses::<TemplateCreate>(&template, "/category", limits::DISPLAY_NAME, 'é');
    refuses::<TemplateCreate>(&template, "/base_image", limits::IMAGE, 'é');
    refuses::<TemplateCreate>(&template, "/platform", limits::PLATFORM, 'p');
    refuses::<TemplateCreate>(&template, "/manifest", limits::MANIFEST, 'm');
    let node = json!({ "event_id": ID, "timestamp": "2026-01-01T00:00:00Z", "node_name": "n", "status": "ready" });
    refuses::<NodeStatus>(&node, "/node_name", limits::NAME, 'é');
    let world = json!({ "event_id": ID, "timestamp": "2026-01-01T00:00:00Z", "controller_id": "c", "platform": "noop",
        "sync_id": ID, "instance_id": ID, "part": 0, "last": true, "sessions": [status()] });
    refuses::<World>(&world, "/controller_id", limits::CORE_CONTROLLER_ID, 'é');
    refuses::<World>(&world, "/sessions/0/pod_name", limits::RESOURCE_NAME, 'é');
    shortens::<World>(&world, "/sessions/0/message", limits::MESSAGE);
    shortens::<World>(&world, "/sessions/0/error/message", limits::MESSAGE);
    assert!(limits::read::<World>(&with(world, "/sessions/0/phase", json!("a\u{0}b"))).is_err());
}

#[test]
fn a_heartbeat_is_held_to_its_limits() {
    let beat = json!({ "controller_id": "c", "platform": "noop", "timestamp": "2026-01-01T00:00:00Z", "status": "healthy",
        "capabilities": ["x"], "labels": { "a": "b" }, "cluster_info": {} });
    shortens::<Heartbeat>(&beat, "/version", limits::VERSION);
    refuses::<Heartbeat>(&beat, "/controller_id", limits::CORE_CONTROLLER_ID, 'é');
    refuses::<Heartbeat>(&beat, "/platform", limits::PLATFORM, 'p');
    refuses::<Heartbeat>(&beat, "/sealing_key", limits::SEALING_KEY, 'k');
    refuses::<Heartbeat>(&beat, "/labels/a", limits::LABEL, 'é');
    let names = |count: usize| json!(vec!["é".repeat(limits::CAPABILITY); count]);
    assert!(limits::read::<Heartbeat>(&with(beat.clone(), "/capabilities", names(limits::CAPABILITIES))).is_ok());
    assert!(limits::read::<Heartbeat>(&with(beat.clone(), "/capabilities", names(limits::CAPABILITIES + 1))).is_err());
    let info = |bytes: usize| json!({ "a": "x".repeat(bytes - "{\"a\":\"\"}".len()) });
    assert!(limits::read::<Heartbeat>(&with(beat.clone(), "/cluster_info", info(limits::FREE_JSON))).is_ok());
    assert!(limits::read::<Heartbeat>(&with(beat, "/cluster_info", info(limits::FREE_JSON + 1))).is_err());
}

fn manifest(spec: &str) -> Result<Vec<Manifest>, String> {
    let text = format!(
        "apiVersion: stream.space/v1alpha1\nkind: Template\nmetadata: {{name: t}}\nspec: {{displayName: T, {spec}}}"
    );
    Manifest::parse_all(&text).map_err(|error| error.to_string())
}

#[test]
fn a_manifest_is_held_to_its_limits() {
    for (field, max) in [
        ("description", limits::DESCRIPTION),
        ("category", limits::DISPLAY_NAME),
        ("baseImage", limits::IMAGE),
        ("icon", limits::ICON),
    ] {
        let text = |length: usize| format!("{field}: \"{}\"", "é".repeat(length));
        assert!(manifest(&text(max)).is_ok(), "{field}");
        let refused = manifest(&text(max + 1)).expect_err(field);
        assert!(refused.contains(&format!("spec.{field}")), "{field}: {refused}");
    }
    let tags = |count: usize| format!("tags: [{}]", vec!["t"; count].join(", "));
    assert!(manifest(&tags(limits::TAGS)).is_ok() && manifest(&tags(limits::TAGS + 1)).is_err());
    for icon in ["javascript:x", "data:text/html,x", "file:///x"] {
        assert!(manifest(&format!("icon: \"{icon}\"")).is_err(), "{icon}");
    }
    for icon in ["https://h/i.png", "data:image/png;base64,AA==", "firefox.png", "/icons/a.svg"] {
        assert!(manifest(&format!("icon: \"{icon}\"")).is_ok(), "{icon}");
    }
}

#[test]
fn yaml_hides_no_depth_equal_keys_large_numbers_or_bombs() {
    let deep = |levels: usize| format!("kubernetes: {}1{}", "{a: ".repeat(levels), "}".repeat(levels));
    assert!(manifest(&deep(DEPTH - 2)).is_ok());
    assert!(manifest(&deep(DEPTH - 1)).expect_err("too deep").contains("nested"));
    assert!(manifest("kubernetes: {a: 1, a: 2}").is_err());
    assert!(manifest("kubernetes: {a: .inf}").is_err() && manifest("kubernetes: {a: .nan}").is_err());
    let large = manifest("kubernetes: {a: 18446744073709551616}");
    assert!(large.is_err(), "{large:?}");
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x]");
    for i in 1..9 {
        bomb.push_str(&format!(", a{i}: &a{i} [{}]", vec![format!("*a{}", i - 1); 9].join(", ")));
    }
    assert!(manifest(&format!("kubernetes: {{{bomb}}}")).is_err());
    assert!(manifest(&format!("kubernetes: {{a: \"{}\"}}", "x".repeat(limits::MANIFEST))).is_err());
}

const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/limits.md");
const MARKS: (&str, &str) = ("<!-- what comes in -->\n", "<!-- /what comes in -->");

#[test]
fn the_document_shows_the_limits_that_there_are() {
    let text = std::fs::read_to_string(DOCUMENT).expect("docs/limits.md");
    let (before, rest) = text.split_once(MARKS.0).expect("its beginning");
    let (shown, after) = rest.split_once(MARKS.1).expect("its end");
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        let written = format!("{before}{}{}{}{after}", MARKS.0, limits::markdown(), MARKS.1);
        return std::fs::write(DOCUMENT, written).expect("written");
    }
    assert_eq!(shown, limits::markdown(), "run it with UPDATE_SNAPSHOTS=1");
}
