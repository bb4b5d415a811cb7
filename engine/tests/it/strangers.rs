//! Strangers on the bus: they announce controllers, speak under others' ids, and report in others' names.

use std::time::Duration;

use engine::fold::fold;
use engine::store::controller;
use futures::StreamExt;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::rig::{OWNER, PLATFORM, Rig, eventually, heartbeat};

const SHARED: &str = "streamspace.controller.heartbeat";

/// A beat of nothing but what the contract's sample has.
fn plain(id: &str) -> Value {
    json!({ "controller_id": id, "platform": PLATFORM, "timestamp": "2026-01-01T00:00:00Z", "status": "healthy",
        "version": "1.0.0", "capabilities": ["sessions", "applications"], "cluster_info": {}, "interval_seconds": 3600 })
}

/// A beat of a controller of the durable lane on the host with this world.
fn of_world(id: &str, world: Uuid) -> Value {
    let mut beat = heartbeat(2, Uuid::now_v7());
    (beat["controller_id"], beat["world_id"]) = (json!(id), json!(world));
    beat
}

fn own(id: &str) -> String {
    format!("{SHARED}.{PLATFORM}.{id}")
}

impl Rig {
    /// What an engine answers to a heartbeat.
    async fn answered(&self, subject: &str, beat: &Value) -> Value {
        let answer = self.client.request(subject.to_owned(), beat.to_string().into());
        let answer = tokio::time::timeout(Duration::from_secs(20), answer).await.expect("in time").expect("an answer");
        serde_json::from_slice(&answer.payload).expect("JSON")
    }

    async fn known(&self, id: &str) -> Option<controller::Model> {
        engine::queries::controller(self.engine.reader(), id).await.expect("readable")
    }

    async fn row(&self, id: &str) -> controller::Model {
        self.known(id).await.expect("a controller")
    }

    /// The log of a controller folds to its row.
    async fn controller_folds(&self, id: &str) {
        let folded = fold(self.engine.reader(), &controller::Model::entity(id)).await.expect("no gaps");
        let row = serde_json::to_value(self.row(id).await).expect("JSON");
        for (name, value) in folded {
            assert_eq!(value, row[&name], "{name}");
        }
    }

    async fn decisions_about(&self, id: &str) -> Vec<Value> {
        let entity = controller::Model::entity(id);
        let rows = engine::queries::events(self.engine.reader(), &entity, 0, 1000).await.expect("readable");
        rows.into_iter().map(|row| Value::from(row.payload)).filter(|payload| payload.get("by").is_some()).collect()
    }
}

#[tokio::test]
async fn a_plain_heartbeat_of_an_unknown_id_takes_no_session_reads_no_command_and_makes_nothing_running() {
    for rig in [Rig::sqlite().await, Rig::postgres().await] {
        let mut owner = rig.controller().await;
        let mut overheard =
            rig.client.subscribe(format!("streamspace.session.*.{PLATFORM}")).await.expect("subscribed");
        let answer = rig.answered(SHARED, &plain("stranger")).await;
        assert_eq!(answer["accepted"], false, "{answer}");
        assert!(answer["reason"].as_str().is_some_and(|why| why.contains("streamspace controller admit")), "{answer}");

        let id = rig.create().await.session_id;
        let command = owner.take().await;
        let forged = json!({ "event_id": Uuid::now_v7(), "timestamp": "2026-01-01T00:00:00Z", "session_id": id,
            "status": "running", "url": "http://evil.example", "causation_id": command["event_id"] });
        for mut report in [forged.clone(), json!({ "controller_id": "stranger" }), json!({ "controller_id": OWNER })] {
            for (name, value) in forged.as_object().expect("an object") {
                report[name] = value.clone();
            }
            report["event_id"] = json!(Uuid::now_v7());
            owner.publish("streamspace.session.status", report).await;
        }
        let parked = || async { (rig.dead_letters().await.len() == 3).then_some(()) };
        eventually("the forged reports are parked", parked).await;
        let row = rig.session(id).await;
        assert_eq!((row.controller_id.as_deref(), row.url.as_deref()), (Some(OWNER), None), "{row:?}");
        assert_ne!(row.status, "running");

        let stranger = rig.row("stranger").await;
        assert!(!stranger.admitted && !stranger.ready());
        assert_eq!(stranger.interval_seconds, machine::identity::MAX_INTERVAL_S);
        let heard = tokio::time::timeout(Duration::from_millis(100), overheard.next()).await;
        assert!(heard.is_err(), "no command goes where a stranger listens: {heard:?}");
        let report = rig.engine.doctor().await;
        let mut told = report.checks.iter().flat_map(|check| &check.findings).map(|finding| &finding.sentence);
        assert!(told.any(|told| told == "controller stranger of platform noop waits to be admitted"), "{report:#?}");
        rig.controller_folds("stranger").await;
        rig.engine.stop().await;
    }
}

#[tokio::test]
async fn an_operator_admits_resets_and_removes_and_the_log_says_who_and_why() {
    for rig in [Rig::sqlite().await, Rig::postgres().await] {
        let _owner = rig.controller().await;
        assert_eq!(rig.answered(SHARED, &plain("plain_1")).await["accepted"], false);
        let row = rig.engine.admit("plain_1", "it is ours".into(), "ann".into()).await.expect("admitted");
        assert!(row.admitted);
        assert_eq!(rig.answered(SHARED, &plain("plain_1")).await["accepted"], true);
        assert!(rig.row("plain_1").await.ready());

        assert_eq!(rig.answered(SHARED, &plain("plain_2")).await["accepted"], false);
        let second =
            rig.engine.admit("plain_2", "too".into(), "ann".into()).await.expect_err("one at a time").to_string();
        assert!(second.contains("plain_1"), "{second}");

        let speaks =
            rig.engine.remove("plain_1", "gone".into(), "ann".into()).await.expect_err("it speaks").to_string();
        assert!(speaks.contains("still speaks"), "{speaks}");
        let mut leave = plain("plain_1");
        leave["status"] = json!("unhealthy");
        rig.answered(SHARED, &leave).await;
        rig.engine.remove("plain_1", "gone".into(), "bob".into()).await.expect("removed");
        assert!(rig.known("plain_1").await.is_none());
        rig.engine.remove("plain_2", "a stranger".into(), "bob".into()).await.expect("one that waits may be removed");
        assert_eq!(rig.answered(SHARED, &plain("plain_1")).await["accepted"], false, "it is a newcomer");
        rig.controller_folds("plain_1").await;
        let told: Vec<_> = rig
            .decisions_about("plain_1")
            .await
            .into_iter()
            .map(|one| [one["decision"].clone(), one["by"].clone(), one["note"].clone()])
            .collect();
        assert_eq!(
            told,
            [
                ["controller_admitted", "ann", "it is ours"].map(Value::from),
                ["controller_removed", "bob", "gone"].map(Value::from)
            ]
        );
        let missing = rig.engine.remove("nobody", "x".into(), "ann".into()).await.expect_err("unknown").to_string();
        assert!(missing.contains("no controller nobody"), "{missing}");

        let here = Uuid::now_v7();
        assert_eq!(rig.answered(&own(OWNER), &of_world(OWNER, here)).await["accepted"], true);
        assert_eq!(rig.answered(SHARED, &plain(OWNER)).await["accepted"], false, "another protocol");
        let row = rig.engine.reset(OWNER, "reinstalled".into(), "ann".into()).await.expect("reset");
        assert_eq!((row.protocol, row.world_id, row.own_subject, row.ready()), (0, None, false, false));
        assert_eq!(rig.answered(SHARED, &of_world(OWNER, Uuid::now_v7())).await["accepted"], true);
        assert!(rig.row(OWNER).await.ready());
        rig.controller_folds(OWNER).await;
        rig.engine.stop().await;
    }
}

#[tokio::test]
async fn a_controller_with_sessions_is_not_removed() {
    for rig in [Rig::sqlite().await, Rig::postgres().await] {
        let mut owner = rig.controller().await;
        rig.running(&mut owner).await;
        let mut leave = heartbeat(2, owner.instance);
        leave["status"] = json!("unhealthy");
        rig.answered(SHARED, &leave).await;
        let why = rig.engine.remove(OWNER, "gone".into(), "ann".into()).await.expect_err("in use").to_string();
        assert!(why.contains("1 sessions"), "{why}");
        rig.engine.stop().await;
    }
}

#[tokio::test]
async fn a_heartbeat_that_says_less_than_is_known_is_refused_counted_shown_and_erases_nothing() {
    for rig in [Rig::sqlite().await, Rig::postgres().await] {
        let world = Uuid::now_v7();
        assert_eq!(rig.answered(SHARED, &of_world(OWNER, world)).await["accepted"], true);
        let before = rig.row(OWNER).await;
        let mut without_world = of_world(OWNER, world);
        without_world["world_id"] = Value::Null;
        let mut elsewhere = of_world(OWNER, world);
        elsewhere["platform"] = json!("docker");
        let impostors = [plain(OWNER), without_world, of_world(OWNER, Uuid::now_v7()), elsewhere];
        for (beat, count) in impostors.iter().zip(1..) {
            let answer = rig.answered(SHARED, beat).await;
            assert_eq!(answer["accepted"], false, "{beat}");
            let row = rig.row(OWNER).await;
            assert_eq!((row.refused_beats, row.refused_why.as_deref()), (count, answer["reason"].as_str()));
            let same = controller::Model {
                refused_beats: before.refused_beats,
                refused_ms: before.refused_ms,
                refused_why: before.refused_why.clone(),
                ..row
            };
            assert_eq!(same, before, "{beat}");
        }
        assert_eq!(rig.answered(&own(OWNER), &of_world(OWNER, world)).await["accepted"], true);
        let bare = rig.answered(SHARED, &of_world(OWNER, world)).await;
        assert!(bare["reason"].as_str().is_some_and(|why| why.contains("a subject of its own")), "{bare}");
        assert_eq!(rig.row(OWNER).await.refused_beats, 5);
        rig.client.publish(own("host-2"), of_world(OWNER, world).to_string().into()).await.expect("published");
        let letter = rig.dead_letter("illegal").await;
        assert!(letter.error.contains("host-2"), "body and subject agree: {}", letter.error);
        rig.engine.stop().await;
    }
}

#[tokio::test]
async fn another_world_takes_over_only_after_a_silence_that_the_engine_chose() {
    let rig = Rig::sqlite().await;
    let (first, second) = (Uuid::now_v7(), Uuid::now_v7());
    let mut hurried = of_world(OWNER, first);
    hurried["interval_seconds"] = json!(1);
    assert_eq!(rig.answered(SHARED, &hurried).await["accepted"], true);
    rig.clock.advance(Duration::from_millis(machine::identity::TAKEOVER_MS.unsigned_abs() - 5_000));
    assert_eq!(rig.answered(SHARED, &of_world(OWNER, second)).await["accepted"], false);
    rig.clock.advance(Duration::from_secs(6));
    assert_eq!(rig.answered(SHARED, &of_world(OWNER, second)).await["accepted"], true);
    assert_eq!(rig.row(OWNER).await.world_id, Some(second));
    rig.engine.stop().await;
}

#[tokio::test]
async fn a_report_under_another_platform_or_of_a_stranger_changes_nothing() {
    for rig in [Rig::sqlite().await, Rig::postgres().await] {
        let mut owner = rig.controller().await;
        let id = rig.create().await.session_id;
        let command = owner.take().await;
        let running = |n: u128| {
            let mut report = owner.status(&command, "running", json!({ "url": "http://evil.example" }));
            report["event_id"] = json!(Uuid::from_u128(n));
            report
        };
        owner.publish(&format!("streamspace.session.status.evil.{OWNER}"), running(1)).await;
        owner.publish(&format!("streamspace.session.status.{PLATFORM}.nobody"), running(2)).await;
        let template = json!({ "event_id": Uuid::now_v7(), "timestamp": "2026-01-01T00:00:00Z", "template_name": "trap",
            "display_name": "Trap", "category": "", "base_image": "", "platform": PLATFORM,
            "manifest": "{apiVersion: stream.space/v1alpha1, kind: Template, metadata: {name: trap}, spec: {displayName: Trap}}" });
        owner.publish("streamspace.template.create", template.clone()).await;
        let mut of_nobody = template;
        of_nobody["event_id"] = json!(Uuid::now_v7());
        owner.publish(&format!("streamspace.template.create.{PLATFORM}.nobody"), of_nobody).await;
        let world = json!({ "event_id": Uuid::now_v7(), "timestamp": "2026-01-01T00:00:00Z", "controller_id": OWNER,
            "platform": "evil", "sync_id": Uuid::now_v7(), "instance_id": owner.instance, "part": 0, "last": true,
            "sessions": [] });
        owner.publish(&format!("streamspace.controller.world.evil.{OWNER}"), world).await;
        let parked = || async { (rig.dead_letters().await.len() == 5).then_some(()) };
        eventually("all are parked", parked).await;
        assert_ne!(rig.session(id).await.status, "running");
        assert!(engine::queries::template(rig.engine.reader(), "trap").await.expect("readable").is_none());
        owner.report(&command, "running").await;
        assert_eq!(rig.until(id, "running").await.url, None);
        rig.engine.stop().await;
    }
}

#[tokio::test]
async fn a_session_that_was_bound_to_the_wrong_lane_follows_its_owner() {
    use engine::writer::Ask;
    use sea_orm::ConnectionTrait;
    for mut rig in [Rig::sqlite().await, Rig::postgres().await] {
        let mut owner = rig.controller().await;
        let (id, _) = rig.running(&mut owner).await;
        rig.engine.stop().await;
        let db = &rig.database.database.writer;
        db.execute_unprepared("UPDATE sessions SET lane = 'core'").await.expect("written"); // what one bad beat did before
        rig.restart().await;
        rig.engine.ask(id, Ask::Hibernate).await.expect("accepted");
        let command = owner.take().await;
        owner.report(&command, "hibernated").await;
        assert_eq!(rig.until(id, "hibernated").await.lane.as_deref(), Some("durable"));
        rig.engine.stop().await;
    }
}

/// Puts a message into the dead-letter stream as anyone who may publish can, and answers the letter that it becomes.
async fn forged(rig: &Rig, subject: &str, id: &str, payload: &Value) -> engine::store::dead_letter::Model {
    let before = rig.dead_letters().await.len();
    let mut headers = async_nats::HeaderMap::new();
    headers.insert("Nats-Msg-Id", id);
    headers.insert("Streamspace-Reason", "undecodable");
    headers.insert("Streamspace-Signature", "00".repeat(32).as_str());
    let jetstream = async_nats::jetstream::new(rig.client.clone());
    let subject = format!("streamspace.dlq.{subject}");
    let ack = jetstream.publish_with_headers(subject, headers, payload.to_string().into()).await.expect("sent");
    ack.await.expect("stored");
    let recorded = || async { rig.dead_letters().await.into_iter().nth(before) };
    eventually("the forged letter", recorded).await
}

/// Replays a letter in each way there is; each is refused as foreign.
async fn only_to_be_read(rig: &Rig, letter: &engine::store::dead_letter::Model) {
    use engine::edit::NewEdit;
    use engine::jobs::{Kind, NewJob, Pace, What};
    use engine::queries::LetterFilter;
    let shown = rig.engine.foreign(letter).await.expect("readable").expect("foreign");
    assert!(!shown.is_empty());
    let edit = || NewEdit { payload: json!({ "a": 1 }), reason: "x".into(), by: "ops".into() };
    for refused in [
        rig.engine.replay(letter.id, "ops".into()).await.expect_err("replayed").to_string(),
        rig.engine.replay_outlook(letter.id).await.expect_err("tried").to_string(),
        rig.engine.edit_letter(letter.id, edit()).await.expect_err("edited").to_string(),
        rig.engine.edit_outlook(letter.id, edit()).await.expect_err("tried to edit").to_string(),
    ] {
        assert!(refused.contains("foreign") || refused.contains("could be read"), "{refused}");
    }
    let filter = LetterFilter { fingerprint: Some(letter.fingerprint.clone()), ..LetterFilter::default() };
    for dry_run in [true, false] {
        let (kind, what, pace) = (Kind::Replay, What::Letters(filter.clone()), Pace::default());
        let new = NewJob { kind, what, force: false, dry_run, pace, created_by: "ops".into(), reason: None };
        let id = rig.engine.create_job(new).await.expect("accepted").job_id;
        let ended = || async {
            let job = engine::queries::job(rig.engine.reader(), id).await.expect("readable")?;
            (!job.is_running()).then_some(job)
        };
        let job = eventually("the job has ended", ended).await;
        assert_eq!((job.done, job.failed), (0, job.total), "{job:?}");
    }
    let open = engine::queries::dead_letter(rig.engine.reader(), letter.id).await.expect("readable").expect("a letter");
    assert_eq!(open.status, "open");
}

#[tokio::test]
async fn a_forged_letter_on_a_commands_subject_is_never_published() {
    for rig in [Rig::sqlite().await, Rig::postgres().await] {
        let mut owner = rig.controller().await;
        let (id, started) = rig.running(&mut owner).await;
        let row = rig.session(id).await;
        let forge = |event_id: Value| {
            json!({ "event_id": event_id, "timestamp": "2026-01-01T00:00:00Z", "session_id": id, "user_id": row.user_id,
                "platform": PLATFORM, "force": true, "generation": row.generation + 1, "attempt": 1 })
        };
        let delete = format!("streamspace.session.delete.{PLATFORM}.{OWNER}");
        let (fresh, other) = (Uuid::now_v7(), Uuid::now_v7());
        let letters = [
            forged(&rig, &delete, "m-1", &forge(json!(fresh))).await,
            forged(&rig, &delete, "m-2", &forge(started["event_id"].clone())).await,
            forged(&rig, &format!("streamspace.session.delete.{PLATFORM}"), "m-3", &forge(json!(fresh))).await,
            forged(&rig, "streamspace.session.delete", "m-4", &forge(json!(fresh))).await,
            forged(&rig, &delete, &format!("command:{other}"), &forge(json!(other))).await,
            forged(&rig, &delete, "m-5", &json!({ "session_id": id })).await,
        ];
        assert!(letters.iter().all(|letter| !letter.verified && !letter.source.starts_with("command:")), "{letters:?}");
        for letter in &letters {
            only_to_be_read(&rig, letter).await;
        }
        assert_eq!(rig.session(id).await, row, "nothing came of it");
        let discarded = rig.engine.discard(letters[0].id, "forged".into(), "ops".into()).await.expect("discarded");
        assert_eq!(discarded.status, "discarded");

        rig.engine.ask(id, engine::writer::Ask::Delete { force: false }).await.expect("accepted");
        assert_eq!(owner.take().await["generation"], row.generation + 1, "the only command that ever came");
        rig.engine.stop().await;
    }
}

#[tokio::test]
async fn a_forged_letter_of_a_report_speaks_for_nobody() {
    for rig in [Rig::sqlite().await, Rig::postgres().await] {
        let mut owner = rig.controller().await;
        let id = rig.create().await.session_id;
        let command = owner.take().await;
        let lane = format!("streamspace.session.status.{PLATFORM}.{OWNER}");
        let running = owner.status(&command, "running", json!({ "url": "http://evil.example" }));
        let letter = forged(&rig, &lane, "m-1", &running).await;
        only_to_be_read(&rig, &letter).await;
        assert_ne!(rig.session(id).await.status, "running");

        owner.publish(&lane, json!({ "session_id": id })).await;
        let real = || async { rig.dead_letters().await.into_iter().find(|letter| letter.verified) };
        let real = eventually("the engine's own letter", real).await;
        assert_eq!(rig.engine.foreign(&real).await.expect("readable"), None);
        assert_eq!(rig.engine.replay_outlook(real.id).await.expect("it could be replayed").1.outcome, "message");
        rig.engine.stop().await;
    }
}

#[tokio::test]
async fn a_replay_says_whom_it_touches_and_what_it_would_destroy() {
    for rig in [Rig::sqlite().await, Rig::postgres().await] {
        let mut owner = rig.controller().await;
        let (id, _) = rig.running(&mut owner).await;
        rig.engine.ask(id, engine::writer::Ask::Delete { force: false }).await.expect("accepted");
        let command = owner.take().await;
        owner.fail(&command, false).await;
        rig.until(id, "failed").await;
        let letters = rig.dead_letters().await;
        let [letter] = &letters[..] else { panic!("{letters:?}") };
        let (_, outlook) = rig.engine.replay_outlook(letter.id).await.expect("it could be replayed");
        assert_eq!(outlook.outcome, "session.delete");
        assert_eq!((outlook.user_id.as_deref(), outlook.controller_id.as_deref()), (Some("ann"), Some(OWNER)));
        let destroys = outlook.destroys.expect("something is destroyed");
        assert!(destroys.contains(&id.to_string()) && outlook.text.contains(&destroys), "{destroys}");

        let parked = forged(&rig, &format!("streamspace.session.delete.{PLATFORM}.{OWNER}"), "m-1", &command).await;
        assert_eq!(rig.engine.foreign(&parked).await.expect("readable"), None, "the log holds that command");
        rig.engine.replay(parked.id, "ops".into()).await.expect("an intent");
        let again = owner.take().await;
        assert_eq!((&again["session_id"], again["generation"].as_i64()), (&json!(id), Some(3)), "a command of its own");
        assert_ne!(again["event_id"], command["event_id"]);
        rig.engine.stop().await;
    }
}
