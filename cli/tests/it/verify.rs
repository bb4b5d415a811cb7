//! Verification by an operator: the requests that are sent, and the exit codes for scripts.

use anyhow::ensure;
use serde_json::{Value, json};
use tempfile::tempdir;

use crate::fake::{Fake, json};
use crate::program::run;

const ID: &str = "01a20549-a5fb-7255-8fb3-65e3ff665b49";

fn job(found: i64, findings: &Value) -> Value {
    json!({ "job_id": ID, "kind": "log.verify", "status": "completed", "done": 40, "total": 40, "failed": found,
        "scan": { "entities": 7, "events": 40, "events_per_second": 90000, "found": found, "repaired": 0,
            "findings": findings } })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_difference_is_shown_and_is_a_failure() -> anyhow::Result<()> {
    let folder = tempdir()?;
    let finding = json!([{ "entity": format!("session:{ID}"), "what": "differs", "repaired": false, "advice": "mend it",
        "columns": [{ "column": "status", "log": "running", "row": "failed" }] }]);
    let server = Fake::start(move |asked, _| {
        let repair = asked.body.contains("true");
        json(202, &if repair { job(0, &json!([])) } else { job(1, &finding) })
    })?;
    let at = ["--server", &server.url, "--token", "t"];
    let ask = |arguments: &[&str]| run(folder.path(), &[arguments, &at].concat());
    let wrong = ask(&["verify", "--wait"])?;
    ensure!(wrong.code == Some(1) && wrong.err.contains("1 entities"), "{wrong:?}");
    for said in ["found  differs  session:", "mend it", "status: the log says \"running\", the row \"failed\"", "90000"]
    {
        ensure!(wrong.out.contains(said), "{said}: {wrong:?}");
    }
    ask(&["verify", "--repair", "--yes", "--wait"])?.done()?;
    let unsure = ask(&["verify", "--repair"])?;
    ensure!(unsure.code == Some(2) && unsure.err.contains("--yes"), "{unsure:?}");
    let bodies: Vec<String> = server.asked().into_iter().map(|one| format!("{} {}", one.what, one.body)).collect();
    ensure!(bodies.len() == 2 && bodies[1] == "POST /api/v1/admin/verify {\"repair\":true}", "{bodies:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_are_rebuilt_only_by_whoever_says_yes_and_why_and_a_session_is_shown_as_it_was() -> anyhow::Result<()> {
    let folder = tempdir()?;
    let server = Fake::start(|asked, _| match asked.what.as_str() {
        what if what.contains("/sessions/") => json(200, &json!({ "session_id": ID, "status": "hibernated" })),
        _ => json(200, &json!({ "epoch": 3, "commands": 12 })),
    })?;
    let at = ["--server", &server.url, "--token", "t"];
    let ask = |arguments: &[&str]| run(folder.path(), &[arguments, &at].concat());
    for missing in [&["streams", "rebuild", "--yes"][..], &["streams", "rebuild", "--reason", "x"]] {
        ensure!(ask(missing)?.code == Some(2), "{missing:?}");
    }
    let said = ask(&["streams", "rebuild", "--reason", "a damaged store", "--yes"])?.done()?.out;
    ensure!(said.contains("epoch 3") && said.contains("12"), "{said}");
    let past = ask(&["session", "get", ID, "--at", "2026-01-01T12:00:00Z"])?.done()?.out;
    ensure!(past.contains("hibernated"), "{past}");
    let asked = server.asked();
    ensure!(asked.len() == 2 && asked[0].body == "{\"reason\":\"a damaged store\"}", "{asked:?}");
    ensure!(asked[1].what.contains("?at=2026-01-01T12"), "{asked:?}");
    Ok(())
}
