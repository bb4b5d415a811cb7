//! Dead letters that come again, and those that an operator closes together.

use std::time::Duration;

use engine::jobs::{Kind, NewJob, Pace, What};
use engine::queries::{self, LetterFilter};
use serde_json::json;

use crate::rig::{Rig, eventually, lane};

async fn both() -> [Rig; 2] {
    [Rig::sqlite().await, Rig::postgres().await]
}

/// The only open letter, once it has come so often.
async fn counted(rig: &Rig, count: i64) -> engine::store::dead_letter::Model {
    eventually(&format!("a letter that came {count} times"), || async {
        let letters = rig.dead_letters().await;
        let open: Vec<_> = letters.into_iter().filter(|letter| letter.status == "open").collect();
        assert!(open.len() <= 1, "{open:?}");
        open.into_iter().next().filter(|letter| letter.count == count)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_heartbeat_that_comes_again_and_again_is_one_letter_with_a_count() {
    for rig in both().await {
        for second in 0..40 {
            let beat = json!({ "controller_id": "broken-1", "platform": "No Such!", "status": "healthy",
                "timestamp": format!("2026-01-01T00:00:{second:02}Z") });
            rig.client.publish("streamspace.controller.heartbeat", beat.to_string().into()).await.expect("published");
        }
        let letter = counted(&rig, 40).await;
        assert!(letter.last_ms.is_some_and(|last_ms| last_ms >= letter.created_ms));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_report_is_counted_once_each_time_and_anew_after_it_was_discarded() {
    for rig in both().await {
        let jetstream = async_nats::jetstream::new(rig.client.clone());
        let say = async |times: usize| {
            for _ in 0..times {
                jetstream.publish(lane(), "{".into()).await.expect("sent").await.expect("stored");
            }
        };
        say(5).await;
        let first = counted(&rig, 5).await;
        say(2).await;
        assert_eq!(counted(&rig, 7).await.id, first.id);
        rig.engine.discard(first.id, "seen".into(), "ops".into()).await.expect("discarded");
        say(1).await;
        assert_ne!(counted(&rig, 1).await.id, first.id, "what was decided was decided about what had come");
        let findings = engine_doctor(&rig).await;
        assert!(!findings.contains("is not in the table"), "{findings}");
    }
}

async fn engine_doctor(rig: &Rig) -> String {
    rig.clock.advance(Duration::from_secs(120));
    format!("{:?}", rig.engine.doctor().await)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_of_letters_reads_no_payload_and_a_job_discards_them_after_a_dry_run() {
    for rig in both().await {
        for n in 0..20 {
            let large = format!("{{ {n} {}", "x".repeat(200_000));
            rig.client.publish(lane(), large.into()).await.expect("published");
        }
        eventually("20 letters", || async { (rig.dead_letters().await.len() == 20).then_some(()) }).await;
        let filter = LetterFilter { status: Some("open".into()), ..LetterFilter::default() };
        let listed = queries::dead_letters(rig.engine.reader(), &filter, None, 200).await.expect("read");
        assert!(listed.len() == 20 && listed.iter().all(|letter| letter.payload_bytes > 200_000));
        let what = What::Letters(filter);
        let new = NewJob {
            kind: Kind::Discard,
            what,
            force: false,
            dry_run: true,
            pace: Pace::default(),
            reason: Some("a broken build".into()),
            created_by: "ops".into(),
        };
        let ended = async |id| {
            eventually("the job", || async {
                let row = queries::job(rig.engine.reader(), id).await.expect("read").expect("a job");
                (row.status == "completed").then_some(row)
            })
            .await
        };
        let dry = rig.engine.create_job(new.clone()).await.expect("accepted");
        assert_eq!(ended(dry.job_id).await.done, 20);
        assert!(rig.dead_letters().await.iter().all(|letter| letter.status == "open"));
        let asked = rig.engine.create_job(NewJob { dry_run: false, ..new }).await.expect("accepted");
        let row = ended(asked.job_id).await;
        assert_eq!((row.done, row.failed), (20, 0), "{row:?}");
        let letters = rig.dead_letters().await;
        let closed = |letter: &&engine::store::dead_letter::Model| {
            (letter.status.as_str(), letter.note.as_deref(), letter.settled_by.as_deref())
                == ("discarded", Some("a broken build"), Some("ops"))
        };
        assert_eq!(letters.iter().filter(closed).count(), 20, "{:?}", letters.first());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_too_many_letters_are_open_messages_wait_in_their_stream_and_the_doctor_says_so() {
    let rig = Rig::sqlite().await;
    let writer = &rig.database.database.writer;
    let fill = format!(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {}) \
         INSERT INTO dead_letters (id, source, subject, reason, error, payload, headers, attempts, fingerprint, status, copied, \
         created_ms, updated_ms, entity_seq) SELECT randomblob(16), 'test:' || i, 's', 'test', 'e', x'', '[]', '[]', 'f', 'open', \
         true, 1, 1, 0 FROM n",
        engine::OPEN_LETTERS
    );
    sea_orm::ConnectionTrait::execute_unprepared(writer, &fill).await.expect("filled");
    rig.client.publish(lane(), "{".into()).await.expect("published");
    let wrong = async || format!("{:?}", rig.engine.doctor().await).contains("no more are recorded");
    eventually("the doctor says so", || async { wrong().await.then_some(()) }).await;
    sea_orm::ConnectionTrait::execute_unprepared(writer, "DELETE FROM dead_letters").await.expect("room");
    rig.dead_letter("undecodable").await;
}
