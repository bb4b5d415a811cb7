//! The log and the tables say the same, and whoever makes them differ is found out.

use engine::account::unaccounted;
use engine::fold::fold;
use engine::jobs::{Kind, LogScan, NewJob, Pace, What as Through};
use engine::store::{job, session};
use engine::verify::{self, Finding, Position, Report, What};
use engine::writer::Ask;
use futures::future::join_all;
use sea_orm::{ConnectionTrait, DbBackend};
use serde_json::json;
use uuid::Uuid;

use crate::jobs::ended;
use crate::rig::{Rig, eventually, request};

async fn damage(rig: &Rig, sql: String) {
    let done = rig.database.database.writer.execute_unprepared(&sql).await.expect("written");
    assert!(done.rows_affected() > 0, "{sql} did nothing");
}

/// An id as SQL writes it.
fn literal(rig: &Rig, id: Uuid) -> String {
    match rig.database.database.backend {
        DbBackend::Postgres => format!("'{id}'"),
        _ => format!("x'{}'", id.simple()),
    }
}

async fn whole(rig: &Rig) -> Report {
    verify::whole(rig.engine.reader()).await.expect("readable")
}

fn of(report: &Report, id: Uuid) -> Vec<&Finding> {
    let entity = session::Model::entity(id);
    report.findings.iter().filter(|finding| finding.entity == entity).collect()
}

/// Four sessions: running, failed, deleted and waiting, so that the log has commands, reports and decisions.
async fn lived(rig: &Rig) -> [Uuid; 4] {
    let mut controller = rig.controller().await;
    let (running, _) = rig.running(&mut controller).await;
    let failed = rig.create().await.session_id;
    let command = controller.take().await;
    controller.fail(&command, false).await;
    rig.until(failed, "failed").await;
    let (deleted, _) = rig.running(&mut controller).await;
    rig.engine.ask(deleted, Ask::Delete { force: false }).await.expect("accepted");
    let command = controller.take().await;
    controller.report(&command, "deleted").await;
    rig.until(deleted, "deleted").await;
    [running, failed, deleted, rig.create().await.session_id]
}

#[tokio::test]
async fn an_engine_that_was_left_alone_agrees_with_itself() {
    for rig in [Rig::sqlite().await, Rig::postgres().await] {
        lived(&rig).await;
        let report = whole(&rig).await;
        assert_eq!((report.found, &report.findings), (0, &Vec::new()));
        assert!(report.entities > 5 && report.events > 12 && report.rows >= report.entities, "{report:?}");
        rig.engine.stop().await;
    }
}

#[tokio::test]
async fn every_kind_of_damage_is_found_and_named() {
    for rig in [Rig::sqlite().await, Rig::postgres().await] {
        let [changed, gone, forgotten, holed] = lived(&rig).await;
        rig.engine.stop().await;
        let key = |id| literal(&rig, id);
        damage(
            &rig,
            format!("UPDATE sessions SET status = 'nonsense', attempt = 7 WHERE session_id = {}", key(changed)),
        )
        .await;
        damage(&rig, format!("DELETE FROM sessions WHERE session_id = {}", key(gone))).await;
        damage(&rig, format!("DELETE FROM event_log WHERE entity = '{}'", session::Model::entity(forgotten))).await;
        damage(
            &rig,
            format!("UPDATE event_log SET entity_seq = 40 WHERE entity = '{}'", session::Model::entity(holed)),
        )
        .await;
        damage(&rig, "UPDATE platform_controllers SET version = 'forged'".into()).await;
        damage(&rig, "UPDATE templates SET deleted = true WHERE name = 'app'".into()).await;
        let report = whole(&rig).await;
        assert_eq!(report.found, 6, "{report:?}");
        let what = |id| of(&report, id).into_iter().map(|finding| finding.what).collect::<Vec<_>>();
        assert_eq!(what(changed), [What::Differs]);
        assert_eq!(what(gone), [What::LogWithoutRow]);
        assert_eq!(what(forgotten), [What::RowWithoutLog]);
        assert_eq!((what(holed), of(&report, holed)[0].at), (vec![What::Gap], Some(1)));
        let columns = &of(&report, changed)[0].columns;
        let said: Vec<_> = columns.iter().map(|c| (c.column.as_str(), c.log.clone(), c.row.clone())).collect();
        assert!(said.contains(&("status", json!("running"), json!("nonsense"))), "{said:?}");
        assert!(said.iter().any(|(name, _, row)| (*name, row) == ("attempt", &json!(7))), "{said:?}");
        assert_eq!(said.len(), 2, "{said:?}");
    }
}

#[tokio::test]
async fn a_scan_goes_on_where_it_stood_and_sees_everything_once() {
    for rig in [Rig::sqlite().await, Rig::postgres().await] {
        let ids = lived(&rig).await;
        rig.engine.stop().await;
        damage(&rig, "UPDATE sessions SET starts = 9".into()).await;
        let all = whole(&rig).await;
        let (mut report, mut at, mut pages) = (Report::default(), Some(Position::start()), 0);
        while let Some(position) = at {
            let kept = serde_json::to_string(&position).expect("JSON"); // as it is kept between two runs
            let page = verify::page(rig.engine.reader(), &serde_json::from_str(&kept).expect("a position"), 3).await;
            let page = page.expect("readable");
            report.add(page.report);
            (at, pages) = (page.next, pages + 1);
        }
        assert!(pages > 10, "{pages} pages");
        let counts = |r: &Report| [r.entities, r.events, r.only_log, r.rows, r.found];
        assert_eq!((counts(&report), &report.findings), (counts(&all), &all.findings));
        assert_eq!(report.found, ids.len() as i64);
    }
}

#[tokio::test]
async fn what_is_written_meanwhile_is_no_difference() {
    for rig in [Rig::sqlite().await, Rig::postgres().await] {
        let writes = async {
            for _ in 0..8 {
                let created = join_all((0..40).map(|_| rig.engine.create_session(request()))).await;
                let ids = created.into_iter().map(|row| row.expect("accepted").session_id);
                let asked = ids.map(|id| rig.engine.ask(id, Ask::Delete { force: true }));
                join_all(asked).await.into_iter().for_each(|row| drop(row.expect("accepted")));
            }
        };
        let mut writes = std::pin::pin!(writes);
        let mut scans = 0;
        loop {
            let scan = async {
                let (mut report, mut at) = (Report::default(), Some(Position::start()));
                while let Some(position) = at {
                    let page = verify::page(rig.engine.reader(), &position, 50).await.expect("readable");
                    report.add(page.report);
                    at = page.next;
                }
                report
            };
            tokio::select! {
                () = &mut writes => break,
                report = scan => assert_eq!((report.found, report.findings), (0, Vec::new())),
            }
            scans += 1;
        }
        assert!(scans > 1, "{scans} scans");
        assert_eq!(whole(&rig).await.found, 0);
        rig.engine.stop().await;
    }
}

fn scan(repair: bool) -> NewJob {
    let what = Through::Log(LogScan { repair });
    NewJob {
        kind: Kind::Verify,
        what,
        force: false,
        dry_run: false,
        pace: Pace::default(),
        reason: None,
        created_by: "ops".into(),
    }
}

async fn verified(rig: &Rig, repair: bool) -> (job::Model, Report) {
    let asked = rig.engine.create_job(scan(repair)).await.expect("accepted");
    let row = ended(rig, asked.job_id).await;
    let report = row.scan().expect("a scan").report;
    (row, report)
}

#[tokio::test]
async fn a_job_verifies_and_keeps_what_it_found() {
    for rig in [Rig::sqlite().await, Rig::postgres().await] {
        let [changed, ..] = lived(&rig).await;
        let (row, report) = verified(&rig, false).await;
        assert_eq!((row.status.as_str(), row.failed, report.found), ("completed", 0, 0), "{row:?}");
        assert_eq!((row.done, row.total), (report.events, report.events));
        damage(&rig, format!("UPDATE sessions SET url = 'x' WHERE session_id = {}", literal(&rig, changed))).await;
        let (row, report) = verified(&rig, false).await;
        assert_eq!((row.failed, report.standing()), (1, 1));
        assert_eq!(rig.session(changed).await.url.as_deref(), Some("x"), "nobody asked for a repair");
        let folded = fold(rig.engine.reader(), &job::Model::entity(row.job_id)).await.expect("no gaps");
        assert_eq!(folded["scan"]["report"]["findings"][0]["entity"], session::Model::entity(changed));
        rig.engine.stop().await;
    }
}

#[tokio::test]
async fn a_repair_sets_what_differs_to_what_the_log_says_and_says_what_stood_there() {
    for rig in [Rig::sqlite().await, Rig::postgres().await] {
        let [changed, gone, holed, waiting] = lived(&rig).await;
        let before = rig.session(changed).await;
        let key = |id| literal(&rig, id);
        damage(
            &rig,
            format!(
                "UPDATE sessions SET status = 'nonsense', max_duration_s = 5, tags = '[\"x\"]', entity_seq = 1 \
                 WHERE session_id = {}",
                key(changed)
            ),
        )
        .await;
        damage(
            &rig,
            format!("UPDATE sessions SET command_id = NULL, deadline_ms = NULL WHERE session_id = {}", key(waiting)),
        )
        .await;
        damage(&rig, "UPDATE platform_controllers SET version = 'forged'".into()).await;
        damage(&rig, "UPDATE templates SET display_name = 'forged' WHERE name = 'app'".into()).await;
        damage(&rig, format!("DELETE FROM sessions WHERE session_id = {}", key(gone))).await;
        let ends =
            format!("DELETE FROM event_log WHERE entity = '{}' AND entity_seq > 2", session::Model::entity(holed));
        damage(&rig, ends).await;
        let (row, report) = verified(&rig, true).await;
        let whats: Vec<_> = report.findings.iter().map(|f| (f.what, f.repaired)).collect();
        assert_eq!((report.found, report.repaired, row.failed), (6, 4, 2), "{whats:?}");
        let standing: Vec<What> = whats.iter().filter(|(_, repaired)| !repaired).map(|(what, _)| *what).collect();
        assert!(standing.contains(&What::Gap) && standing.contains(&What::LogWithoutRow), "{standing:?}");

        let now = rig.session(changed).await;
        assert_eq!(now.hard().expect("readable"), before.hard().expect("readable"));
        assert_eq!((now.entity_seq, now.idle_ms), (before.entity_seq + 1, before.idle_ms));
        let log = rig.log(changed).await;
        let last = log.last().expect("a decision");
        assert_eq!((&last.payload["by"], &last.payload["stood"]["status"]), (&json!("ops"), &json!("nonsense")));
        assert_eq!(last.payload["job_id"], json!(row.job_id));
        let template = engine::queries::template(rig.engine.reader(), "app").await.expect("readable");
        assert_eq!(template.expect("a template").display_name, "App");
        assert_eq!(unaccounted(rig.engine.reader()).await.expect("readable"), 0);
        assert_eq!(whole(&rig).await.found, 2, "what cannot be repaired is still told");
        rig.engine.stop().await;
    }
}

#[tokio::test]
async fn a_scan_whose_engine_stops_halfway_is_finished_by_another_and_counts_everything_once() {
    for mut rig in [Rig::sqlite().await, Rig::postgres().await] {
        join_all((0..1500).map(|_| rig.engine.create_session(request()))).await;
        damage(&rig, "UPDATE sessions SET starts = 1".into()).await;
        let asked = rig.engine.create_job(scan(true)).await.expect("accepted");
        let read = || async { engine::queries::job(rig.engine.reader(), asked.job_id).await.expect("readable") };
        eventually("the first step", || async { read().await.filter(|row| row.done > 0) }).await;
        rig.engine.stop().await;
        let left = read().await.expect("a job");
        assert!(left.is_running() && left.total >= 1500, "{left:?}");
        rig.restart().await;
        let row = ended(&rig, asked.job_id).await;
        let report = row.scan().expect("a scan").report;
        assert_eq!((report.found, report.repaired, report.findings.len()), (1500, 1500, verify::KEPT));
        assert_eq!(row.done, row.total);
        assert_eq!(whole(&rig).await.found, 0);
        rig.engine.stop().await;
    }
}
