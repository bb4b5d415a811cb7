//! The engine's own work that can never be done is passed over, and shown; the rest goes on.

use sea_orm::ConnectionTrait;

use crate::rig::{Rig, eventually};

#[tokio::test]
async fn a_timer_that_can_never_be_written_is_passed_over_and_named_and_the_others_fire() {
    let rig = Rig::postgres().await;
    let (bad, good) = (rig.create().await.session_id, rig.create().await.session_id);
    let write = async |sql: String| rig.database.database.writer.execute_unprepared(&sql).await.expect("written");
    write(format!(
        "ALTER TABLE sessions ADD CONSTRAINT never CHECK (session_id <> '{bad}' OR coalesce(wake_ms, 0) = 1) NOT VALID"
    ))
    .await;
    write(format!("UPDATE sessions SET next_attempt_ms = 1, wake_ms = 1 WHERE session_id = '{bad}'")).await;
    let about = format!("session:{bad}");
    let named = || async {
        let report = rig.engine.doctor().await;
        let check = report.checks.into_iter().find(|check| check.name == "repeats")?;
        check.findings.into_iter().find(|finding| finding.about == about)
    };
    rig.clock.advance(std::time::Duration::from_secs(6));
    let finding = eventually("the doctor names it", named).await;
    assert!(finding.sentence.contains("passed over"), "{}", finding.sentence);
    write(format!("UPDATE sessions SET next_attempt_ms = 1, wake_ms = 1 WHERE session_id = '{good}'")).await;
    let fired = || async { Some(rig.session(good).await).filter(|row| row.wake_ms != Some(1)) };
    eventually("the other's timer has fired", fired).await;
    assert_eq!(rig.session(bad).await.wake_ms, Some(1));
    write("ALTER TABLE sessions DROP CONSTRAINT never".into()).await;
    rig.clock.advance(std::time::Duration::from_secs(3_600));
    let fired = || async { Some(rig.session(bad).await).filter(|row| row.wake_ms != Some(1)) };
    eventually("what can be written again is tried again", fired).await;
}
