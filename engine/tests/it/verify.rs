//! The log and the tables say the same, and whoever makes them differ is found out.

use engine::store::session;
use engine::verify::{self, Finding, Position, Report, What};
use engine::writer::Ask;
use futures::future::join_all;
use sea_orm::{ConnectionTrait, DbBackend};
use serde_json::json;
use uuid::Uuid;

use crate::rig::{Rig, request};

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
