//! Old rows of the log go behind a snapshot, records that are done with go as a whole, and nothing that is promised goes with them.

use std::collections::HashSet;
use std::path::Path;
use std::time::Duration;

use engine::feed::{After, Error, Filter, Position, Told};
use engine::fold::{PRUNED, SNAPSHOT, fold};
use engine::jobs::{Kind, NewJob, Pace, What};
use engine::retention::Settings;
use engine::retention::cut::{Limits, Reach, reach};
use engine::store::text::Tree;
use engine::store::{dead_letter, event, job, session};
use engine::writer::Ask;
use proptest::prelude::*;
use sea_orm::{ConnectionTrait, DbBackend};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::jobs::ended;
use crate::rig::{Controller, Rig, eventually, lane};

/// Older is old.
const OLD: Duration = Duration::from_secs(60);

fn settings(folder: Option<&Path>) -> Settings {
    Settings { events: Some(OLD), ..nothing(folder) }
}

fn records(folder: Option<&Path>) -> Settings {
    Settings { dead_letters: Some(OLD), jobs: Some(OLD), ..nothing(folder) }
}

fn nothing(folder: Option<&Path>) -> Settings {
    let (archive, every) = (folder.map(Path::to_path_buf), Duration::from_millis(20));
    Settings { events: None, dead_letters: None, jobs: None, archive, every }
}

async fn both() -> [Rig; 2] {
    [Rig::sqlite().await, Rig::postgres().await]
}

/// The ids of the rows of the log that are in the archive.
fn archived(folder: &Path) -> Vec<i64> {
    lines(folder, "event_log").iter().filter_map(|line| line["id"].as_i64()).collect()
}

/// The rows of a table that are in the archive; the last line may be on its way.
fn lines(folder: &Path, table: &str) -> Vec<Value> {
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let of_table = files.filter(|file| file.file_name().to_string_lossy().starts_with(&format!("{table}-")));
    let texts = of_table.map(|file| std::fs::read_to_string(file.path()).expect("readable"));
    texts.flat_map(|text| text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect::<Vec<_>>()).collect()
}

fn holds_all(folder: &Path, rows: &[event::Model]) -> bool {
    let archive = archived(folder);
    rows.iter().all(|row| archive.contains(&row.id))
}

async fn pruned(rig: &Rig, id: Uuid) -> Vec<event::Model> {
    eventually("the log begins with a snapshot", || async {
        Some(rig.log(id).await).filter(|log| log.first().is_some_and(|row| row.subject == SNAPSHOT))
    })
    .await
}

async fn folds(rig: &Rig, id: Uuid) {
    let folded = fold(rig.engine.reader(), &session::Model::entity(id)).await.expect("no gap");
    assert_eq!(folded, rig.session(id).await.hard().expect("readable"));
}

#[tokio::test]
async fn old_rows_go_behind_a_snapshot_and_the_archive_has_them() {
    for mut rig in both().await {
        let folder = tempfile::tempdir().expect("a folder");
        let mut controller = rig.controller().await;
        let (id, _) = rig.running(&mut controller).await;
        let open = rig.create().await.session_id;
        let (before, waits) = (rig.log(id).await, rig.log(open).await);
        let mut watcher =
            rig.engine.feed().watch(Filter::default(), Some(After::Position(Position::START))).await.expect("all");
        let Told::Item(first) = watcher.next().await else { panic!("an item") };
        rig.clock.advance(OLD);
        rig.retain(settings(Some(folder.path()))).await;
        let log = pruned(&rig, id).await;
        assert_eq!(
            (log[0].entity_seq, log[0].created_ms),
            before.last().map(|row| (row.entity_seq, row.created_ms)).expect("rows")
        );
        folds(&rig, id).await;
        assert!(rig.log(open).await.iter().any(|row| row.event_id == waits[0].event_id), "an open command stays");
        folds(&rig, open).await;
        assert_eq!(engine::account::unaccounted(rig.engine.reader()).await.expect("readable"), 0);
        let archive = archived(folder.path());
        let once: HashSet<i64> = archive.iter().copied().collect();
        assert_eq!(once.len(), archive.len(), "each row once");
        assert!(before.iter().all(|row| once.contains(&row.id)) && !once.contains(&waits[0].id));
        for after in [Position::START, first.position] {
            let watched = rig.engine.feed().watch(Filter::default(), Some(After::Position(after))).await;
            assert!(matches!(watched, Err(Error::Gone)), "who was behind is told to read anew");
        }
        rig.engine.ask(id, Ask::Hibernate).await.expect("accepted");
        folds(&rig, id).await;
        rig.engine.stop().await;
    }
}

#[tokio::test]
async fn a_report_that_comes_again_after_it_was_pruned_changes_nothing() {
    for mut rig in both().await {
        let mut controller = rig.controller().await;
        let id = rig.create().await.session_id;
        let command = controller.take().await;
        let report = controller.status(&command, "running", json!({}));
        controller.publish(&lane(), report.clone()).await;
        rig.until(id, "running").await;
        rig.engine.ask(id, Ask::Hibernate).await.expect("accepted");
        let command = controller.take().await;
        controller.report(&command, "hibernated").await;
        rig.until(id, "hibernated").await;
        rig.clock.advance(OLD);
        rig.retain(settings(None)).await;
        pruned(&rig, id).await;
        let before = rig.session(id).await;
        controller.publish(&lane(), report).await;
        rig.running(&mut controller).await; // reports are taken in order: this one came after
        let after = rig.session(id).await;
        assert_eq!((after.status.as_str(), after.generation), (before.status.as_str(), before.generation));
        folds(&rig, id).await;
        rig.engine.stop().await;
    }
}

/// What refuses that a row of the log goes, as a crash between archive and deletion would.
fn refusal(backend: DbBackend) -> [&'static str; 2] {
    match backend {
        DbBackend::Postgres => [
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no'; END $$; \
             CREATE TRIGGER refusal BEFORE DELETE ON event_log FOR EACH ROW EXECUTE FUNCTION refuse()",
            "DROP TRIGGER refusal ON event_log",
        ],
        _ => [
            "CREATE TRIGGER refusal BEFORE DELETE ON event_log BEGIN SELECT RAISE(ABORT, 'no'); END",
            "DROP TRIGGER refusal",
        ],
    }
}

#[tokio::test]
async fn what_was_archived_and_did_not_go_is_archived_again_and_goes() {
    for mut rig in both().await {
        let folder = tempfile::tempdir().expect("a folder");
        let mut controller = rig.controller().await;
        let (id, _) = rig.running(&mut controller).await;
        let before = rig.log(id).await;
        rig.create().await; // the newest row of all stays
        let db = rig.database.database.writer.clone();
        let [refuse, permit] = refusal(db.get_database_backend());
        db.execute_unprepared(refuse).await.expect("refused from now on");
        rig.clock.advance(OLD);
        rig.retain(settings(Some(folder.path()))).await;
        let all = || async { Some(()).filter(|()| holds_all(folder.path(), &before)) };
        eventually("the archive", all).await;
        assert_eq!(rig.log(id).await, before, "nothing went");
        folds(&rig, id).await;
        db.execute_unprepared(permit).await.expect("permitted");
        pruned(&rig, id).await;
        folds(&rig, id).await;
        assert!(holds_all(folder.path(), &before), "all of it is there, if more than once");
        rig.engine.stop().await;
    }
}

/// A session whose command failed for good, and the letter that it became, with its public copy.
async fn given_up(rig: &Rig, controller: &mut Controller) -> (Uuid, dead_letter::Model) {
    let id = rig.create().await.session_id;
    let command = controller.take().await;
    controller.fail(&command, false).await;
    rig.until(id, "failed").await;
    let entity = session::Model::entity(id);
    let copied = |letter: &dead_letter::Model| letter.copied && letter.entity.as_ref() == Some(&entity);
    let letter = eventually("a letter", || async { rig.dead_letters().await.into_iter().find(copied) }).await;
    (id, letter)
}

async fn logged(rig: &Rig, entity: &str) -> Vec<event::Model> {
    engine::queries::events(rig.engine.reader(), entity, 0, 1000).await.expect("readable")
}

async fn gone(rig: &Rig, entity: &str) {
    let none = || async { logged(rig, entity).await.is_empty().then_some(()) };
    eventually(&format!("nothing of {entity} is left"), none).await;
}

#[tokio::test]
async fn closed_letters_and_finished_jobs_go_and_everything_says_so() {
    for mut rig in both().await {
        let folder = tempfile::tempdir().expect("a folder");
        let mut controller = rig.controller().await;
        let (_, closed) = given_up(&rig, &mut controller).await;
        let (_, open) = given_up(&rig, &mut controller).await;
        let command = closed.event_id.expect("of a command");
        rig.engine.discard(closed.id, "a test of ours".into(), "ann".into()).await.expect("discarded");
        let what = What::Sessions(engine::queries::SessionFilter::default());
        let (pace, by) = (Pace::default(), "ann".to_owned());
        let asked = NewJob { kind: Kind::Wake, what, force: false, dry_run: true, pace, reason: None, created_by: by };
        let done = ended(&rig, rig.engine.create_job(asked).await.expect("accepted").job_id).await.job_id;
        rig.clock.advance(OLD);
        rig.retain(records(Some(folder.path()))).await;
        let of_letter = dead_letter::Model::entity(closed.id);
        let of_job = job::Model::entity(done);
        for (entity, subject) in [&of_letter, &of_job].into_iter().zip(PRUNED) {
            let last = || async { logged(&rig, entity).await.pop().filter(|row| row.subject == subject) };
            eventually("its log says that it went", last).await;
        }
        assert!(engine::queries::job(rig.engine.reader(), done).await.expect("readable").is_none());
        assert_eq!(
            rig.dead_letters().await.iter().map(|row| row.id).collect::<Vec<_>>(),
            [open.id],
            "an open one stays"
        );
        let letters = lines(folder.path(), "dead_letters");
        assert_eq!(letters.iter().map(|line| &line["id"]).collect::<Vec<_>>(), [&json!(closed.id)]);
        assert!(letters[0]["payload"].is_string() && letters[0]["note"] == "a test of ours", "{}", letters[0]);
        assert_eq!(lines(folder.path(), "jobs")[0]["job_id"], json!(done));
        let fate = rig.engine.fate(command).await.expect("readable").expect("an event");
        assert!(
            fate.verdict.as_str() == "failed" && fate.sentence.contains("no dead letter of it is kept"),
            "{fate:?}"
        );
        let report = engine::verify::whole(rig.engine.reader()).await.expect("readable");
        assert_eq!((report.found, &report.findings), (0, &Vec::new()), "the log tells what the tables have");
        rig.create().await; // the newest row of all stays
        rig.clock.advance(OLD);
        rig.retain(settings(Some(folder.path()))).await;
        gone(&rig, &of_letter).await;
        gone(&rig, &of_job).await;
        let report = engine::verify::whole(rig.engine.reader()).await.expect("readable");
        assert_eq!((report.found, &report.findings), (0, &Vec::new()), "and still does");
        let oldest = rig.engine.feed().oldest().await.expect("readable");
        let watched = rig.engine.feed().watch(Filter::default(), Some(After::Position(oldest))).await;
        assert!(watched.is_ok(), "the log can be read from where it begins now");
        rig.engine.stop().await;
    }
}

#[tokio::test]
async fn what_an_open_letter_held_goes_once_it_is_closed() {
    for mut rig in both().await {
        let mut controller = rig.controller().await;
        let (id, letter) = given_up(&rig, &mut controller).await;
        let (other, _) = rig.running(&mut controller).await;
        rig.create().await; // the newest row of all stays
        rig.clock.advance(OLD);
        rig.retain(settings(None)).await;
        pruned(&rig, other).await;
        assert_eq!(
            rig.log(id).await[0].event_id,
            letter.event_id.expect("of a command"),
            "it is still shown with its letter"
        );
        rig.engine.discard(letter.id, "a test of ours".into(), "ann".into()).await.expect("discarded");
        rig.create().await;
        rig.clock.advance(OLD);
        pruned(&rig, id).await;
        folds(&rig, id).await;
        rig.engine.stop().await;
    }
}

fn row(at: usize, status: &str, created_ms: i64, fact: u8) -> event::Model {
    let place = at as i64 + 1;
    event::Model {
        id: place,
        event_id: Uuid::from_u128(at as u128),
        subject: "test".into(),
        payload: Tree(json!({})),
        published_at: None,
        processed_at: None,
        processed_by: None,
        status: Some(status.into()),
        error_message: None,
        entity: "test:1".into(),
        entity_seq: place,
        kind: "report".into(),
        direction: "in".into(),
        lane: None,
        generation: 0,
        attempt: 0,
        controller_id: None,
        causation_id: None,
        changes: Some(Tree(json!({ (fact % 4).to_string(): fact }))),
        traceparent: None,
        stream_epoch: None,
        stream_seq: None,
        claimed_until_ms: None,
        ready: true,
        turn: 0,
        created_ms,
        processed_ms: None,
    }
}

fn folded(rows: &[event::Model]) -> Value {
    let mut folding = engine::fold::Folding::default();
    for row in rows {
        folding.take(&row.entity, row.entity_seq, &row.subject, row.changes.clone().map(Value::from)).expect("no gap");
    }
    Value::Object(folding.facts())
}

proptest! {
    #[test]
    fn what_goes_is_old_and_ended_and_what_is_left_folds_to_the_same(
        rows in proptest::collection::vec((0..4_usize, 0..100_i64, any::<u8>()), 0..12),
        before_ms in 0..100_i64,
        newest in 0..14_i64,
        held in proptest::collection::hash_set(0..12_u128, 0..3),
    ) {
        let status = ["completed", "completed", "failed", "published"];
        let log: Vec<_> = rows.iter().enumerate().map(|(at, (s, ms, fact))| row(at, status[*s], *ms, *fact)).collect();
        let held: HashSet<Uuid> = held.into_iter().map(Uuid::from_u128).collect();
        let limits = Limits { before_ms, newest, held };
        let stays = |row: &event::Model| row.status.as_deref() == Some("published") || row.created_ms > before_ms
            || row.id >= newest || limits.held.contains(&row.event_id);
        let may = log.iter().position(stays).unwrap_or(log.len());
        match reach(&log, &limits) {
            None => prop_assert!(may < 2, "all that may go goes"),
            Some(Reach { facts: None, .. }) => prop_assert!(false, "its record is there"),
            Some(Reach { rows: gone, facts: Some(facts) }) => {
                prop_assert_eq!(gone.len(), may);
                let mut left = log[may - 1..].to_vec();
                (left[0].subject, left[0].changes) = (SNAPSHOT.into(), Some(Tree(Value::Object(facts))));
                prop_assert_eq!(folded(&left), folded(&log));
            }
        }
    }
}
