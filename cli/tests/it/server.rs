//! Requests to a server, their retries, and the handling of its answers.

use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, ensure};
use poem::Response;
use serde_json::{Value, json};
use tempfile::tempdir;

use crate::dev::Dev;
use crate::fake::{Fake, json};
use crate::program::{program, run, said};

const ID: &str = "01a20549-a5fb-7255-8fb3-65e3ff665b4f";

fn job(status: &str, done: u32, failed: u32) -> Value {
    let failures = if failed > 0 { json!([{ "id": ID, "detail": "its state does not permit it" }]) } else { json!([]) };
    json!({ "job_id": ID, "kind": "sessions.hibernate", "status": status, "total": 4, "done": done, "failed": failed,
        "skipped": 0, "failures": failures, "dry_run": false })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_is_sent_again_with_the_same_key_and_not_for_ever() -> anyhow::Result<()> {
    let folder = tempdir()?;
    let busy = |_: &_, n: usize| match n {
        0 => {
            Response::builder().status(poem::http::StatusCode::SERVICE_UNAVAILABLE).header("retry-after", "0").finish()
        }
        _ => json(202, &json!({ "session_id": ID, "status": "pending", "desired": "running" })),
    };
    let server = Fake::start(busy)?;
    let at = ["--server", &server.url, "--token", "t"];
    run(folder.path(), &[&["session", "create", "scratchpad"][..], &at].concat())?.done()?;
    let asked = server.asked();
    ensure!(asked.len() == 2 && asked[0].key.is_some() && asked[0].key == asked[1].key, "{asked:?}");

    let server = Fake::start(|_, _| json(503, &json!({ "detail": "not now" })))?;
    let at = ["--server", &server.url, "--token", "t"];
    run(folder.path(), &[&["session", "wake", ID][..], &at].concat())?.refuses(5, &["not now"])?;
    ensure!(server.asked().len() == 4, "{:?}", server.asked());
    run(folder.path(), &[&["session", "list"][..], &at].concat())?.refuses(5, &["not now"])?;
    ensure!(server.asked().len() == 5, "a question was asked again: {:?}", server.asked());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn many_are_asked_in_one_job_whose_failures_are_a_failure() -> anyhow::Result<()> {
    let folder = tempdir()?;
    let looks = AtomicUsize::new(0);
    let server = Fake::start(move |asked, _| match asked.what.as_str() {
        "POST /api/v1/sessions/bulk" => json(202, &job("running", 0, 0)),
        what if what.starts_with("GET /api/v1/jobs/") => match looks.fetch_add(1, Ordering::SeqCst) {
            0 => json(200, &job("running", 2, 0)),
            _ => json(200, &job("completed", 4, 1)),
        },
        _ => json(404, &json!({ "detail": "there is nothing at this path" })),
    })?;
    let bulk =
        ["session", "bulk", "hibernate", "--tag", "x", "--all", "--wait", "--server", &server.url, "--token", "t"];
    let said = run(folder.path(), &bulk)?;
    ensure!(said.code == Some(1) && said.err.contains("1 of 4 failed, the first because: its state"), "{said:?}");
    ensure!(said.err.contains("running, 2/4 done") && said.out.contains("completed, 4/4 done"), "{said:?}");
    let body: Value = serde_json::from_str(&server.asked()[0].body)?;
    ensure!(body == json!({ "action": "hibernate", "filter": { "tag": "x", "all": true } }), "{body}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn tags_are_changed_only_in_the_version_that_was_read() -> anyhow::Result<()> {
    let folder = tempdir()?;
    let server = Fake::start(|asked, n| {
        let revision = if n < 2 { 1 } else { 2 };
        let session = json!({ "session_id": ID, "status": "running", "desired": "running", "generation": 3,
            "revision": revision, "tags": if n < 2 { json!(["a"]) } else { json!(["a", "other"]) } });
        match (asked.what.starts_with("PATCH"), asked.if_match.as_deref()) {
            (true, Some("\"3.1\"")) => json(412, &json!({ "detail": "it is in another version" })),
            _ => json(200, &session),
        }
    })?;
    let patch = ["session", "patch", ID, "--tag", "+b", "--tag", "-a", "--server", &server.url, "--token", "t"];
    run(folder.path(), &patch)?.done()?;
    let asked = server.asked();
    let last = asked.last().context("it asked")?;
    ensure!(last.if_match.as_deref() == Some("\"3.2\"") && asked.len() == 4, "{asked:?}");
    ensure!(serde_json::from_str::<Value>(&last.body)? == json!({ "tags": ["other", "b"] }), "{last:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_feed_is_read_on_where_it_broke_off() -> anyhow::Result<()> {
    let folder = tempdir()?;
    let item = |id: &str, status: &str| {
        let item = json!({ "id": id, "event_id": ID, "kind": "report", "entity": format!("session:{ID}"), "at":
            "2026-01-01T10:20:30.123Z", "subject": "streamspace.session.status.local.l1", "changes": { "status": status } });
        format!(": alive\n\nid: {id}\nevent: report\ndata: {item}\n\n")
    };
    let server = Fake::start(move |_, n| match n {
        0 => Response::builder().content_type("text/event-stream").body(item("7", "creating")),
        1 => Response::builder().content_type("text/event-stream").body(item("8", "running")),
        2 => json(410, &json!({ "detail": "that is not kept any more" })),
        _ => json(401, &json!({ "detail": "that is enough" })),
    })?;
    let watch = ["watch", "--user", "ada", "--after", "6", "--server", &server.url, "--token", "t"];
    let said = run(folder.path(), &watch)?;
    ensure!(said.code == Some(6), "{said:?}");
    ensure!(said.out.contains("now creating") && said.out.contains("now running"), "{said:?}");
    ensure!(said.err.contains("missed"), "{said:?}");
    let asked = server.asked();
    ensure!(asked[0].what == "GET /api/v1/stream?user_id=ada&after=6" && asked[0].last_event_id.is_none(), "{asked:?}");
    ensure!(asked[1].what == "GET /api/v1/stream?user_id=ada", "{asked:?}");
    ensure!(asked[1].last_event_id.as_deref() == Some("7"), "{asked:?}");
    ensure!(asked[3].last_event_id.is_none(), "{asked:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_is_installed_from_a_file_and_waited_for() -> anyhow::Result<()> {
    let folder = tempdir()?;
    let app = |status: &str| json!({ "install_id": ID, "install_status": status, "next_attempt_at": null });
    let server = Fake::start(move |asked, _| match asked.what.split(' ').next() {
        Some("POST") => json(202, &app("pending")),
        Some("DELETE") => json(202, &app("ready")),
        _ if asked.what.contains("/stream") => json(404, &json!({ "detail": "there is nothing at this path" })),
        _ => json(200, &app(if asked.what.contains(ID) { "ready" } else { "failed" })),
    })?;
    std::fs::write(folder.path().join("app.yaml"), "kind: App\n")?;
    let at = ["--server", &server.url, "--token", "t"];
    let install = [&["app", "install", "app.yaml", "--platform", "docker", "--wait"][..], &at].concat();
    let said = run(folder.path(), &install)?.done()?;
    ensure!(said.out == format!("{ID}  ready\n") && said.err.contains("application"), "{said:?}");
    let body: Value = serde_json::from_str(&server.asked()[0].body)?;
    ensure!(body == json!({ "manifest": "kind: App\n", "platform": "docker" }), "{body}");
    // An application that is still ready has not been uninstalled.
    let gone = [&["app", "uninstall", ID, "--force", "--wait", "--timeout", "1s"][..], &at].concat();
    run(folder.path(), &gone)?.refuses_last(5, &["is still ready"])?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_are_replayed_by_filter_and_discarded_with_a_reason() -> anyhow::Result<()> {
    let folder = tempdir()?;
    let server = Fake::start(|asked, _| match asked.what.starts_with("DELETE") {
        true => json(200, &json!({ "id": ID, "status": "discarded", "note": "a test" })),
        false => json(202, &job("running", 0, 0)),
    })?;
    let at = ["--server", &server.url, "--token", "t"];
    let replay = [&["dlq", "replay", "--reason", "poison", "--platform", "local", "--dry-run"][..], &at].concat();
    run(folder.path(), &replay)?.done()?;
    let discard = run(folder.path(), &[&["dlq", "discard", ID, "--reason", "a test"][..], &at].concat())?.done()?;
    ensure!(discard.out.contains("discarded"), "{discard:?}");
    run(folder.path(), &[&["dlq", "groups", "--search", "disk full"][..], &at].concat())?;
    let asked = server.asked();
    ensure!(asked[2].what.starts_with("GET /api/v1/admin/dlq/groups?q=disk+full&status=open"), "{asked:?}");
    let body: Value = serde_json::from_str(&asked[0].body)?;
    ensure!(body == json!({ "filter": { "reason": "poison", "platform": "local" }, "dry_run": true }), "{body}");
    ensure!(asked[1].what == format!("DELETE /api/v1/admin/dlq/{ID}?reason=a+test"), "{asked:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_that_halts_says_why_and_how_to_go_on() -> anyhow::Result<()> {
    let folder = tempdir()?;
    let server = Fake::start(|asked, _| {
        let mut answer = job("halted", 1, 0);
        answer["reason"] = json!("canary: dead letter X failed again: disk full");
        json(if asked.what.starts_with("POST") { 202 } else { 200 }, &answer)
    })?;
    let at = ["--server", &server.url, "--token", "t"];
    let replay = ["dlq", "replay", "--search", "disk", "--canary", "3", "--rate", "10", "--wait"];
    let said = run(folder.path(), &[&replay[..], &at].concat())?;
    ensure!(said.code == Some(1) && said.err.contains("disk full") && said.err.contains("job resume"), "{said:?}");
    let body: Value = serde_json::from_str(&server.asked()[0].body)?;
    ensure!(body == json!({ "filter": { "q": "disk" }, "canary": 3, "rate": 10 }), "{body}");
    run(folder.path(), &[&["job", "resume", ID][..], &at].concat())?.done()?;
    ensure!(server.asked().iter().any(|asked| asked.what == format!("POST /api/v1/jobs/{ID}/resume")));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_correction_shows_its_difference_and_is_sent_only_with_yes() -> anyhow::Result<()> {
    let folder = tempdir()?;
    let server = Fake::start(|_, _| {
        let diff = json!([{ "op": "add", "path": "/status", "value": "running" }]);
        json(200, &json!({ "id": ID, "status": "replayed", "note": "edited", "edit": { "diff": diff } }))
    })?;
    std::fs::write(folder.path().join("fixed.json"), r#"{"status":"running"}"#)?;
    let at = ["--server", &server.url, "--token", "t"];
    let edit = ["dlq", "edit", ID, "--file", "fixed.json", "--reason", "it forgot"];
    let said = run(folder.path(), &[&edit[..], &at].concat())?;
    ensure!(said.code == Some(2) && said.err.contains("/status") && said.err.contains("--yes"), "{said:?}");
    ensure!(server.asked().len() == 1, "{:?}", server.asked());
    let said = run(folder.path(), &[&edit[..], &["--yes"], &at].concat())?.done()?;
    ensure!(said.err.contains("/status") && said.out.contains("edited"), "{said:?}");
    let asked = server.asked();
    ensure!(asked[2].what == format!("POST /api/v1/admin/dlq/{ID}/edit"), "{asked:?}");
    let body: Value = serde_json::from_str(&asked[2].body)?;
    ensure!(body == json!({ "payload": { "status": "running" }, "reason": "it forgot" }), "{body}");
    std::fs::write(folder.path().join("fixed.json"), "no json")?;
    run(folder.path(), &[&edit[..], &at].concat())?.refuses(2, &["fixed.json is not JSON"])
}

#[test]
fn answers_are_on_stdout_progress_is_on_stderr_and_quiet_is_ids() -> anyhow::Result<()> {
    let mut dev = Dev::new()?;
    dev.start()?;
    let waited = dev.ask(&["session", "create", "scratchpad", "--wait"])?;
    ensure!(waited.out.starts_with("http://127.0.0.1:") && waited.out.lines().count() == 1, "{waited:?}");
    ensure!(waited.err.lines().all(|line| line.starts_with("session ")), "{waited:?}");
    let id = dev.ask(&["session", "list", "--quiet"])?.out;
    ensure!(id.trim().len() == 36, "{id}");
    let id = id.trim();
    ensure!(dev.ask(&["session", "hibernate", id, "--wait", "-q"])?.out.trim() == id);
    let got = dev.ask(&["session", "get", id])?.out;
    ensure!(got.lines().any(|line| line.starts_with("status") && line.ends_with("hibernated")), "{got}");
    let json: Value = serde_json::from_str(&dev.ask(&["-o", "json", "session", "get", id])?.out)?;
    ensure!(json["session_id"] == id, "{json}");
    ensure!(dev.ask(&["session", "get", id, "-o", "yaml"])?.out.contains(&format!("session_id: {id}")));
    let wide = dev.ask(&["session", "list", "-o", "wide"])?.out;
    ensure!(wide.contains("CONTROLLER") && wide.contains("local-1"), "{wide}");
    Ok(())
}

#[test]
fn colour_is_for_terminals_unless_it_is_said() -> anyhow::Result<()> {
    let mut dev = Dev::new()?;
    dev.start()?;
    dev.ask(&["session", "create", "scratchpad", "--wait"])?;
    let coloured = |arguments: &[&str], environment: &[(&str, &str)]| -> anyhow::Result<bool> {
        let mut command = program(dev.folder.path(), &[&["session", "list"], arguments].concat());
        Ok(said(command.envs(environment.iter().copied()).output()?)?.done()?.out.contains('\u{1b}'))
    };
    ensure!(!coloured(&[], &[])?, "into a pipe");
    ensure!(coloured(&["--color", "always"], &[])? && coloured(&["--color", "always"], &[("NO_COLOR", "1")])?);
    ensure!(coloured(&[], &[("CLICOLOR_FORCE", "1")])?);
    ensure!(!coloured(&["--color", "never"], &[("CLICOLOR_FORCE", "1")])?);
    ensure!(!coloured(&[], &[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")])?);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_fate_of_an_event_is_a_verdict_and_a_line_for_each_step() -> anyhow::Result<()> {
    let folder = tempdir()?;
    let fate = json!({ "event_id": ID, "verdict": "retrying", "sentence": "attempt 1 failed", "hops": [
        { "at": "2026-01-01T08:00:00.000Z", "step": "accepted", "text": "session.create" },
        { "at": "2026-01-01T08:00:01.000Z", "step": "reported", "text": "failed: no\u{1b}[31m room", "attempt": 1 },
    ] });
    let answer = fate.clone();
    let server = Fake::start(move |asked, _| {
        if asked.what == format!("GET /api/v1/events/{ID}/fate") {
            return json(200, &answer);
        }
        json(404, &json!({ "detail": "there is no such event" }))
    })?;
    let at = ["--server", &server.url, "--token", "t"];
    let said = run(folder.path(), &[&["event", "fate", ID][..], &at].concat())?.done()?;
    let lines: Vec<&str> = said.out.lines().collect();
    ensure!(lines.iter().any(|line| line.contains("attempt 1 failed")), "{said:?}");
    ensure!(lines[lines.len() - 2].contains("accepted        session.create"), "{said:?}");
    ensure!(lines[lines.len() - 1].contains("attempt 1: failed: no [31m room"), "{said:?}");
    let said = run(folder.path(), &[&["event", "fate", ID, "-o", "json"][..], &at].concat())?.done()?;
    ensure!(serde_json::from_str::<Value>(&said.out)? == fate, "{said:?}");
    let other = "01a20549-a5fb-7255-8fb3-65e3ff665b50";
    run(folder.path(), &[&["event", "fate", other][..], &at].concat())?.refuses(3, &["no such event"])
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_told_with_its_way_out_and_an_exit_code() -> anyhow::Result<()> {
    let folder = tempdir()?;
    let answered = std::sync::Arc::new(std::sync::Mutex::new("ok"));
    let verdict = answered.clone();
    let server = Fake::start(move |asked, _| {
        if asked.what != "GET /api/v1/admin/doctor" {
            return json(404, &json!({ "detail": "there is nothing at this path" }));
        }
        let verdict = *verdict.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let findings = match verdict {
            "ok" => json!([]),
            _ => {
                json!([{ "verdict": verdict, "about": "stream:SS_REPORTS", "sentence": "it is\u{1b} full", "way_out": "read it" }])
            }
        };
        let check = json!({ "name": "streams", "verdict": verdict, "sentence": "so it is", "findings": findings, "total": 3,
            "counts": { "SS_REPORTS_bytes": 7 } });
        json(200, &json!({ "healthy": verdict != "wrong", "checks": [check] }))
    })?;
    let at = ["--server", &server.url, "--token", "t"];
    let ask = |verdict: &'static str, more: &[&str]| {
        *answered.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = verdict;
        run(folder.path(), &[&["doctor"][..], more, &at].concat())
    };
    ask("ok", &["--strict"])?.done()?;
    let warned = ask("warning", &[])?.done()?;
    ensure!(warned.out.contains("  it is  full\n  do: read it\n\nand 2 more of streams"), "{warned:?}");
    ask("warning", &["--strict"])?.refuses(7, &["1 checks have warnings"])?;
    ask("wrong", &[])?.refuses(7, &["1 checks found something wrong", "; try: "])?;
    let said = ask("wrong", &["-o", "json"])?;
    ensure!(said.code == Some(7) && serde_json::from_str::<Value>(&said.out)?["checks"][0]["total"] == 3, "{said:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_holds_a_breaker_with_a_reason_and_reads_the_queue() -> anyhow::Result<()> {
    let folder = tempdir()?;
    let host = || {
        json!({ "controller_id": "docker-1", "status": "healthy", "accepting": false, "platform": "docker",
            "breaker": { "state": "open", "held": true, "reason": "its disk", "opened_by": "operator:admin", "failures": 3,
                "threshold": 5, "kinds": { "driver": 2, "timeout": 1, "unreachable": 0 } },
            "retry_budget": { "left": 7, "burst": 20 } })
    };
    let server = Fake::start(move |asked, _| match asked.what.as_str() {
        what if what.contains("/queue/summary") => json(
            200,
            &json!({ "items": [{ "platform": "docker", "count": 12,
            "waits_for": "place" }], "next_cursor": null }),
        ),
        what if what.contains("/queue") => json(
            200,
            &json!({ "items": [{ "place": 3, "entity": format!("session:{ID}"),
            "waits_for": "place", "reason": "full" }], "next_cursor": null }),
        ),
        _ => json(200, &host()),
    })?;
    let at = ["--server", &server.url, "--token", "t"];
    let ask = |arguments: &[&str]| run(folder.path(), &[arguments, &at].concat());
    let held = ask(&["controller", "hold", "docker-1", "open", "--reason", "its disk"])?.done()?;
    ensure!(held.out.trim_end() == "docker-1  healthy  breaker open, held  its disk", "{held:?}");
    ask(&["controller", "close", "docker-1", "--reason", "new disk"])?.done()?;
    let shown = ask(&["controller", "get", "docker-1"])?.done()?.out;
    ensure!(shown.contains("3 of 5 (driver 2, timeout 1)") && shown.contains("7/20"), "{shown}");
    let queue = ask(&["queue", "--controller", "docker-1"])?.done()?.out;
    ensure!(queue.contains(&format!("session:{ID}")) && queue.contains("full"), "{queue}");
    ensure!(ask(&["queue", "--summary"])?.done()?.out.contains("12"));
    let silent = ask(&["controller", "open", "docker-1"])?;
    ensure!(silent.code == Some(2) && silent.err.contains("--reason"), "{silent:?}");
    let asked = server.asked();
    let orders: Vec<Value> = asked[..2].iter().map(|one| serde_json::from_str(&one.body)).collect::<Result<_, _>>()?;
    ensure!(orders[0] == json!({ "action": "hold_open", "reason": "its disk" }), "{orders:?}");
    ensure!(orders[1] == json!({ "action": "close", "reason": "new disk" }), "{orders:?}");
    ensure!(asked[0].what == "POST /api/v1/admin/controllers/docker-1/breaker", "{asked:?}");
    ensure!(asked[3].what.starts_with("GET /api/v1/queue?controller_id=docker-1"), "{asked:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn revoking_a_controller_needs_a_yes_and_follows_its_job() -> anyhow::Result<()> {
    let folder = tempdir()?;
    let server = Fake::start(|asked, _| {
        let over = !asked.what.starts_with("POST");
        let (status, done) = if over { ("completed", 2) } else { ("running", 0) };
        let job = json!({ "job_id": ID, "kind": "sessions.move", "status": status, "total": 2, "done": done, "failed": 0, "skipped": 0 });
        json(if over { 200 } else { 202 }, &job)
    })?;
    let at = ["--server", &server.url, "--token", "t"];
    let revoke = ["controller", "revoke", "docker-1", "--reason", "the host is gone"];
    run(folder.path(), &[&revoke[..], &at].concat())?.refuses(2, &["--yes"])?;
    ensure!(server.asked().is_empty(), "nothing was asked of the server");
    let said = run(folder.path(), &[&revoke[..], &["--yes", "--wait"], &at].concat())?.done()?;
    ensure!(said.out.contains("completed"), "{said:?}");
    let asked = server.asked();
    ensure!(asked[0].what == "POST /api/v1/admin/controllers/docker-1/revoke", "{asked:?}");
    ensure!(serde_json::from_str::<Value>(&asked[0].body)? == json!({ "reason": "the host is gone" }), "{asked:?}");
    Ok(())
}
