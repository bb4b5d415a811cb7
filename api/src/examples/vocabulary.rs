//! Samples for names whose schema has no example, and descriptions of headers.

use serde_json::{Value, json};

/// The sample for a name.
pub(super) fn sample(name: &str) -> Option<Value> {
    Some(match name {
        "Controller.status" => json!("healthy"),
        "Controller.reason" | "Platform.reason" | "DeadLetter.note" => Value::Null,
        "Breaker.reason" | "Breaker.opened_by" | "Breaker.probe" => Value::Null,
        "Controller.revocation" => Value::Null,
        "owed" => json!(0),
        "by" => json!("admin"),
        "OperatorReason.reason" | "Revocation.reason" | "BreakerOrder.reason" => json!("its disk is replaced"),
        "RetryBudget.next_at" | "QueueEntry.next_attempt_at" => Value::Null,
        "QueueEntry.reason" => {
            json!("controller docker-1 takes no work now: circuit breaker open after 5 failures: disk full")
        }
        "QueueEntry.verb" => json!("session.create"),
        "waits_for" => json!("controller"),
        "place" => json!(3),
        "DeadLetter.count" => json!(1),
        "payload_bytes" => json!(21),
        "DiscardMany.reason" => json!("left over from a broken build"),
        "count" => json!(12),
        "left" | "burst" => json!(20),
        "per_second" => json!(2.0),
        "held" => json!(false),
        "driver" | "unreachable" | "trips" | "failing" => json!(0),
        "threshold" => json!(5),
        "FailureKinds.timeout" | "FailureKinds.platform" => json!(0),
        "DeadLetter.status" | "LettersMeant.status" => json!("open"),
        "Cause.subject" => json!("streamspace.session.create"),
        "q" => json!("no such image"),
        "open" => json!(9),
        "replayed" => json!(2),
        "discarded" => json!(1),
        "DeadLetter.subject" => json!("streamspace.session.create.docker.docker-1"),
        "Event.error_message" | "EventFate.delivery" | "EventFate.ahead" | "EventFate.next_attempt_at" => Value::Null,
        "EventFate.deadline_at" | "EventFate.superseded_by" | "EventFate.dead_letter" => Value::Null,
        "EventFate.verdict" | "EventHop.step" => json!("completed"),
        "EventFate.sentence" => json!("docker-1 carried it out"),
        "Diagnosis.healthy" => json!(true),
        "DiagnosisCheck.name" => json!("controllers"),
        "DiagnosisCheck.total" => json!(1),
        "verdict" => json!("warning"),
        "about" => json!("controller:docker-1"),
        "DiagnosisCheck.sentence" | "DiagnosisFinding.sentence" => {
            json!("controller docker-1 takes no work as it should: circuit breaker held open by operator:ada: its disk")
        }
        "way_out" => {
            json!("`streamspace controller release docker-1 --reason …` when it is meant to decide by itself again")
        }
        "counts" => json!({ "known": 3, "revoked": 0 }),
        "EventHop.text" => json!("by docker-1"),
        "EventHop.event_id" | "EventHop.attempt" => Value::Null,
        "FateLetter.status" => json!("open"),
        "stream_epoch" => json!(1),
        "stream_seq" => json!(4711),
        "Event.kind" => json!("command"),
        "Event.status" => json!("completed"),
        "Job.kind" => json!("sessions.hibernate"),
        "Job.status" => json!("running"),
        "Job.filter" => json!({ "user_id": "ada" }),
        "Job.finished_at" => Value::Null,
        "Job.failures" => json!([]),
        "Job.canary" | "Job.rate" | "Job.reason" | "CanaryTry.error" => Value::Null,
        "canary" | "size" => json!(3),
        "rate" => json!(10),
        "stage" => json!("waiting"),
        "CanaryTry.outcome" => json!("processing"),
        "Edited.diff" => json!([{ "op": "add", "path": "/status", "value": "running" }]),
        "LetterEdit.reason" | "Edited.reason" => json!("the controller of version 0.9 left out the status"),
        "message_id" => json!("edit:0198f3c2-7a10-7b3e-9d51-2f6ac04e8b17:9f2c4e1ab07d55c3"),
        "DeadLetter.edit" => Value::Null,
        "Job.outlook" | "DeadLetter.outlook" => Value::Null,
        "Outlook.outcome" | "OutcomeCount.outcome" => json!("session.create"),
        "Outlook.text" => json!(
            "session 0198f3c2-7a10-7b3e-9d51-2f6ac04e8b17: failed at generation 4 → session.create at \
            generation 5, to docker-1; then waking"
        ),
        "Job.scan" | "Finding.missing" => Value::Null,
        "Finding.what" => json!("differs"),
        "advice" => json!("somebody wrote to the table beside the engine; a repair sets the row to what the log says"),
        "column" => json!("status"),
        "log" => json!("running"),
        "row" => json!("failed"),
        "repair" => json!(true),
        "RebuildOrder.reason" => json!("the store is damaged"),
        "epoch" => json!(2),
        "commands" | "found" => json!(12),
        "JobFailure.type" => json!("illegal-transition"),
        "JobFailure.detail" => json!("a session that is pending cannot hibernate; possible now: delete"),
        "accepting" | "built_in" | "persistent_home" => json!(true),
        "after" | "Last-Event-ID" | "position" => json!("2f1.1c.b1f03a52"),
        "all" | "dry_run" => json!(false),
        "attributes" => json!({ "os": ["linux"], "gpu": [true, false], "images": ["oci"] }),
        "attempt" | "entity_seq" | "generation" | "healthy" | "controllers" => json!(1),
        "base_image" => json!("lscr.io/linuxserver/firefox:latest"),
        "bytes" | "kept_bytes" => json!(65536),
        "capabilities" => json!(["sessions"]),
        "capacity_free" | "sessions_max" => json!(40),
        "catalog_template_id" => json!(7),
        "category" => json!("Web Browsers"),
        "changes" => json!({ "status": "running", "url": "http://10.0.0.7:32801/" }),
        "cluster_info" | "labels" => json!({ "zone": "eu-1" }),
        "controller_id" => json!("docker-1"),
        "prev_cursor" => json!("eyJsaXN0Ijoic2Vzc2lvbnMiLCJvZiI6IlF5Tk1qMjJ1Nk1QcSIsImJlZm9yZSI6W119"),
        "cursor" | "next_cursor" => json!("eyJsaXN0Ijoic2Vzc2lvbnMiLCJvZiI6IlF5Tk1qMjJ1Nk1QcSIsImFmdGVyIjpbXX0"),
        "description" => json!("A web browser"),
        "direction" => json!("out"),
        "display_name" => json!("Firefox"),
        "template_name" => json!("firefox"),
        "entities" | "events" | "only_log" | "rows" => json!(4711),
        "events_per_second" => json!(90_000),
        "LogReport.repaired" => json!(0),
        "Finding.repaired" => json!(false),
        "entity" => json!("session:0198f3c2-7a10-7b3e-9d51-2f6ac04e8b17"),
        "error" | "error_message" => json!("image_missing: no such image: lscr.io/linuxserver/firefox:latest"),
        "ETag" | "If-Match" | "If-None-Match" => json!("\"1.4\""),
        "failures" => json!(0),
        "force" | "revoked" | "truncated" => json!(false),
        "done" | "total" => json!(12),
        "failed" | "skipped" => json!(0),
        "created_by" | "settled_by" => json!("admin"),
        "fingerprint" => json!("9f2c4e1ab07d55c3"),
        "headers" => json!([["traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"]]),
        "heartbeat_interval" => json!("10s"),
        "destroys" => json!("session 0198f3c2-7a11-7c02-8f10-5b7a1de0c9aa and its files"),
        "foreign" => json!("the log holds no command of this id for this session"),
        "silent" => json!(["host-2"]),
        "icon" => json!("https://example.org/firefox.png"),
        "id" | "job_id" => json!("0198f3c2-7a10-7b3e-9d51-2f6ac04e8b17"),
        "Idempotency-Key" => json!("5d1f9a52-6a0c-4a55-9c33-0a0f3a2b9b11"),
        "keeps" => json!("filesystem"),
        "kind" => json!("command"),
        "lane" => json!("durable"),
        "limit" => json!(50),
        "Location" => json!("/api/v1/sessions/0198f3c2-7a10-7b3e-9d51-2f6ac04e8b17"),
        "manifest" => manifest_json(),
        "name" | "template_id" => json!("firefox"),
        "note" => json!("replayed as command 0198f3c2-7a11-7c02-8f10-5b7a1de0c9aa at generation 2"),
        "outcome" => json!("created"),
        "payload" => json!({ "session_id": "0198f3c2-7a10-7b3e-9d51-2f6ac04e8b17", "platform": "docker" }),
        "payload_base64" => json!("eyJwbGF0Zm9ybSI6ImRvY2tlciJ9"),
        "platform" => json!("docker"),
        "processed_by" => json!("docker-1"),
        "reason" => json!("retries_exhausted"),
        "Retry-After" => json!("2"),
        "RateLimit-Limit" => json!("2000"),
        "RateLimit-Remaining" => json!("0"),
        "RateLimit-Reset" => json!("1"),
        "Upgrade" => json!("websocket"),
        "SessionLog.text" => json!("serving on port 8080\n"),
        "PersistentHome.sessions" => json!(["0198f3c2-7a11-7c02-8f10-5b7a1de0c9aa"]),
        "sessions" => json!(12),
        "sort" | "SessionSort" => json!("-created_at"),
        "state" => json!("closed"),
        "status" => json!("running"),
        "subject" => json!("streamspace.session.create.docker.docker-1"),
        "tag" => json!("course-7"),
        "tags" => json!(["course-7"]),
        "template_schema" => json!({ "type": "object", "properties": { "shmSize": { "type": "string" } } }),
        "template_schema_hash" => json!("9c56cc51b374c3ba189210d5b6d4bf57790d351c96c47c02190ecf1e430635ab"),
        "timeout" => json!("30s"),
        "trace_id" => json!("4bf92f3577b34da6a3ce929d0e0e4736"),
        "user_id" => json!("ada"),
        "version" => json!("1.0.0"),
        "warnings" => json!(["spec.surprise is kept, but nothing here acts on it"]),
        "WWW-Authenticate" => json!("Bearer realm=\"streamspace\""),
        _ => return None,
    })
}

/// What an operation's answer shows instead of its schema's example.
pub(super) fn moment(operation_id: &str, status: &str) -> Option<Value> {
    let asleep = |status: &str| {
        json!({ "status": status, "desired": "hibernated", "generation": 2, "url": null, "phase": null, "awake": null,
            "connections": null, "resource_usage": null })
    };
    let gone = |status: &str| {
        json!({ "status": status, "desired": "deleted", "generation": 2, "url": null, "phase": null, "awake": null,
            "connections": null, "resource_usage": null })
    };
    let coming = |status: &str, generation: i64| {
        json!({ "status": status, "generation": generation, "revision": generation, "url": null, "phase": null, "awake": null,
            "connections": null, "resource_usage": null, "attempt": 1 })
    };
    Some(match (operation_id, status) {
        ("create_session", "202") => coming("pending", 1),
        ("hibernate_session", "200") => asleep("hibernated"),
        ("hibernate_session", "202") => asleep("hibernating"),
        ("wake_session", "202") => coming("waking", 3),
        ("delete_session", "200") => gone("deleted"),
        ("delete_session", "202") => gone("deleting"),
        ("install_application", "202") => json!({
            "install_status": "installing", "install_message": "pulls the image", "attempt": 1, "in_use_by": 0,
        }),
        ("uninstall_application", "202") => json!({
            "install_status": "uninstalling", "install_message": null, "generation": 2, "attempt": 1, "in_use_by": 0,
        }),
        ("uninstall_application", "200") => json!({
            "install_status": "uninstalled", "install_message": null, "generation": 2, "in_use_by": 0,
        }),
        ("revoke_controller", "202") => json!({ "kind": "sessions.move", "filter": { "controller_id": "docker-1" } }),
        ("replay_dead_letter", "200") => json!({
            "status": "replayed", "note": "replayed as command 0198f3c2-7a11-7c02-8f10-5b7a1de0c9aa at generation 2",
        }),
        _ => return None,
    })
}

/// The description of a header, if its operation has none.
pub(super) fn header(name: &str) -> &'static str {
    match name {
        "ETag" => "The present version of the resource.",
        "Upgrade" => "The protocol to use.",
        "Retry-After" => "Seconds to wait before the request is repeated.",
        "RateLimit-Limit" => "Maximum burst of requests.",
        "RateLimit-Remaining" => "Requests left of the burst.",
        "RateLimit-Reset" => "Seconds until further requests are possible.",
        "WWW-Authenticate" => "How to authenticate.",
        _ => "",
    }
}

fn manifest_json() -> Value {
    json!({
        "apiVersion": "stream.space/v1alpha1",
        "kind": "Template",
        "metadata": { "name": "firefox" },
        "spec": { "displayName": "Firefox", "category": "Web Browsers", "baseImage": "lscr.io/linuxserver/firefox:latest" },
    })
}

/// A template as YAML.
pub(super) fn manifest() -> Value {
    json!(
        "apiVersion: stream.space/v1alpha1\nkind: Template\nmetadata:\n  name: firefox\nspec:\n  displayName: Firefox\n  \
         category: Web Browsers\n  baseImage: lscr.io/linuxserver/firefox:latest\n"
    )
}
