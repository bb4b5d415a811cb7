//! A healthy engine is healthy, and each disagreement, brought about for real, is named by exactly its own check.

use std::time::Duration;

use async_nats::jetstream::consumer::{FromConsumer as _, pull};
use engine::doctor::{Report, Verdict};
use machine::breaker::Order;
use migrations::connect::{Role, open};
use migrations::testing::TestDatabase;
use sea_orm::ConnectionTrait;
use streams::ids::{ControllerId, Platform};
use streams::topology::{self, PullConsumer};

use crate::rig::{OWNER, PLATFORM, Rig, eventually};

/// Those checks that are not well, and how bad each is.
fn unwell(report: &Report) -> Vec<(&'static str, Verdict)> {
    let unwell = report.checks.iter().filter(|check| check.verdict() != Verdict::Ok);
    unwell.map(|check| (check.name, check.verdict())).collect()
}

/// Waits until exactly this check is unwell, about something that says `part`, and says how to mend it.
async fn only(rig: &Rig, name: &'static str, verdict: Verdict, part: &str) {
    let mut last = String::new();
    for _ in 0..500 {
        let report = rig.engine.doctor().await;
        let findings = report.checks.iter().filter(|check| check.name == name).flat_map(|check| &check.findings);
        let said = findings.filter(|finding| finding.verdict == verdict && !finding.way_out.is_empty());
        if unwell(&report) == [(name, verdict)] && said.into_iter().any(|finding| finding.sentence.contains(part)) {
            assert_eq!(report.healthy(), verdict != Verdict::Wrong);
            return;
        }
        last = format!("{report:#?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{name} did not say {part:?}: {last}");
}

async fn write(rig: &Rig, sql: &str) {
    rig.database.database.writer.execute_unprepared(sql).await.expect("written");
}

#[tokio::test]
async fn a_healthy_engine_is_healthy() {
    for rig in [Rig::sqlite().await, Rig::postgres().await] {
        assert_eq!(unwell(&rig.engine.doctor().await), []);
        let mut controller = rig.controller().await;
        rig.running(&mut controller).await;
        let report = rig.engine.doctor().await;
        assert!(report.healthy() && unwell(&report).is_empty(), "{report:#?}");
        assert!(report.checks.iter().all(|check| !check.sentence().is_empty() && check.total == 0), "{report:#?}");
        rig.engine.stop().await;
    }
}

#[tokio::test]
async fn a_missing_stream_is_named() {
    let rig = Rig::sqlite().await;
    let jetstream = async_nats::jetstream::new(rig.client.clone());
    // the engine makes it anew within seconds, so it is taken away until it was seen to be missing
    let seen = || async {
        let _ = jetstream.delete_stream("SS_REPORTS").await; // it may not be back yet
        let report = rig.engine.doctor().await;
        (unwell(&report) == [("streams", Verdict::Wrong)]).then_some(report)
    };
    let report = eventually("the stream is missing", seen).await;
    assert!(format!("{report:?}").contains("SS_REPORTS does not exist"), "{report:#?}");
}

#[tokio::test]
async fn a_missing_consumer_and_one_of_nobody_are_named() {
    let rig = Rig::sqlite().await;
    let _announced = rig.announced().await;
    let jetstream = async_nats::jetstream::new(rig.client.clone());
    let (platform, nobody) = (Platform::try_new("nowhere"), ControllerId::try_new("nobody"));
    let (platform, nobody) = (platform.expect("a platform"), nobody.expect("an id"));
    topology::declare_controller_consumer(&jetstream, &platform, &nobody).await.expect("declared");
    only(&rig, "consumers", Verdict::Warning, "belongs to no controller").await;
    topology::remove_controller_consumer(&jetstream, &platform, &nobody).await.expect("removed");
    let commands = jetstream.get_stream("SS_COMMANDS").await.expect("there");
    commands.delete_consumer(&format!("{PLATFORM}_{OWNER}")).await.expect("deleted");
    only(&rig, "consumers", Verdict::Wrong, "gets no commands").await;
}

#[tokio::test]
async fn a_consumer_that_somebody_changed_is_named_until_its_controller_begins_anew() {
    let rig = Rig::sqlite().await;
    let _announced = rig.announced().await;
    let jetstream = async_nats::jetstream::new(rig.client.clone());
    let commands = jetstream.get_stream("SS_COMMANDS").await.expect("there");
    let found: PullConsumer = commands.get_consumer(&format!("{PLATFORM}_{OWNER}")).await.expect("there");
    let config = pull::Config::try_from_consumer_config(found.cached_info().config.clone()).expect("a pull consumer");
    commands.update_consumer(pull::Config { max_deliver: 3, ..config }).await.expect("changed");
    only(&rig, "consumers", Verdict::Wrong, "its max_deliver is 3, and must be -1").await;
    let (platform, owner) = (Platform::try_new(PLATFORM), ControllerId::try_new(OWNER));
    let (platform, owner) = (platform.expect("a platform"), owner.expect("an id"));
    topology::declare_controller_consumer(&jetstream, &platform, &owner).await.expect("declared");
    assert_eq!(unwell(&rig.engine.doctor().await), []);
}

#[tokio::test]
async fn a_silent_controller_is_worse_where_sessions_are_on_it() {
    for rig in [Rig::sqlite().await, Rig::postgres().await] {
        let mut controller = rig.controller().await;
        rig.engine.order_breaker(OWNER, Order::HoldOpen, "its disk".into(), "ann".into()).await.expect("held");
        only(&rig, "controllers", Verdict::Warning, "held open by operator:ann: its disk").await;
        rig.engine.order_breaker(OWNER, Order::HoldClosed, "mended".into(), "ann".into()).await.expect("held");
        rig.engine.order_breaker(OWNER, Order::Release, "mended".into(), "ann".into()).await.expect("released");
        rig.running(&mut controller).await;
        rig.clock.advance(Duration::from_secs(45));
        only(&rig, "controllers", Verdict::Wrong, "silent for 4").await;
        write(&rig, "UPDATE sessions SET status = 'deleted'").await;
        only(&rig, "controllers", Verdict::Warning, "silent for 4").await;
        rig.engine.stop().await;
    }
}

#[tokio::test]
async fn open_letters_and_one_that_the_table_lacks_are_named() {
    for rig in [Rig::sqlite().await, Rig::postgres().await] {
        let jetstream = async_nats::jetstream::new(rig.client.clone());
        let sent = jetstream.publish("streamspace.session.status", "not json".into()).await.expect("sent");
        sent.await.expect("stored");
        only(&rig, "dead letters", Verdict::Warning, "open because of undecodable").await;
        rig.clock.advance(Duration::from_secs(120));
        only(&rig, "dead letters", Verdict::Warning, "open because of undecodable").await;
        write(&rig, "DELETE FROM dead_letters").await;
        only(&rig, "dead letters", Verdict::Wrong, "is not in the table").await;
        rig.engine.stop().await;
    }
}

#[tokio::test]
async fn a_command_that_nobody_has_any_more_and_a_stream_from_before_are_named() {
    for rig in [Rig::sqlite().await, Rig::postgres().await] {
        let mut controller = rig.controller().await;
        let id = rig.create().await.session_id;
        controller.take().await; // acknowledged, and never reported on
        let published = || async { rig.commands(id).await.into_iter().find(|(_, status)| status == "published") };
        eventually("the command is published", published).await;
        assert_eq!(unwell(&rig.engine.doctor().await), [], "it has just been published");
        write(&rig, "UPDATE event_log SET published_at = '2026-01-01 00:00:00+00:00' WHERE kind = 'command'").await;
        only(&rig, "streams", Verdict::Wrong, "nobody has reported on it").await;
        write(&rig, "UPDATE event_log SET stream_seq = 4711 WHERE kind = 'command'").await;
        only(&rig, "streams", Verdict::Wrong, "restored to an older state").await;
        rig.engine.stop().await;
    }
}

#[tokio::test]
async fn while_nats_is_away_what_needs_it_says_so_and_the_rest_is_told() {
    let mut rig = Rig::sqlite().await;
    rig.nats.down().await.expect("down");
    let both = [("streams", Verdict::Wrong), ("consumers", Verdict::Wrong)];
    // until the connection is known to be gone, the same two say that it takes too long
    let told = || async {
        let report = rig.engine.doctor().await;
        assert_eq!(unwell(&report), both, "{report:#?}");
        let mut wrong = report.checks.iter().flat_map(|check| &check.findings);
        wrong.all(|finding| finding.sentence.contains("NATS is away")).then_some(())
    };
    eventually("both say that NATS is away", told).await;
    rig.nats.up().await.expect("up");
    eventually("all is well", || async { unwell(&rig.engine.doctor().await).is_empty().then_some(()) }).await;
}

#[tokio::test]
async fn what_no_engine_takes_and_what_nobody_owns_up_to_are_named() {
    for rig in [Rig::sqlite().await, Rig::postgres().await] {
        let id = rig.create().await.session_id;
        rig.engine.stop().await;
        write(&rig, "UPDATE sessions SET wake_ms = 1").await;
        only(&rig, "timers", Verdict::Wrong, "1 timers are overdue").await;
        write(&rig, "UPDATE sessions SET wake_ms = NULL, command_id = NULL").await;
        only(&rig, "outbox", Verdict::Wrong, "1 open commands belong to nothing").await;
        assert!(!rig.commands(id).await.is_empty());
    }
}

#[tokio::test]
async fn a_removal_that_no_engine_looks_after_is_named() {
    for rig in [Rig::sqlite().await, Rig::postgres().await] {
        let mut controller = rig.controller().await;
        rig.running(&mut controller).await;
        rig.engine.revoke(OWNER, "the host is gone".into(), "ann".into()).await.expect("revoked");
        controller.take().await;
        rig.engine.stop().await;
        write(&rig, "UPDATE debts SET wake_ms = 1").await;
        let report = rig.engine.doctor().await;
        let timers = report.checks.iter().find(|check| check.name == "timers").expect("a check");
        let found: Vec<_> = timers.findings.iter().map(|finding| (&finding.about[..5], finding.verdict)).collect();
        assert_eq!(found, [("debt:", Verdict::Wrong)], "{timers:#?}");
    }
}

#[tokio::test]
async fn a_stream_that_is_not_as_it_must_be_and_one_that_no_engine_reads_are_named() {
    let rig = Rig::sqlite().await;
    rig.engine.stop().await; // it would set the stream right
    let jetstream = async_nats::jetstream::new(rig.client.clone());
    let reports = jetstream.get_stream("SS_REPORTS").await.expect("there");
    let config = reports.cached_info().config.clone();
    let changed = async_nats::jetstream::stream::Config { max_message_size: 4711, ..config.clone() };
    jetstream.update_stream(changed).await.expect("changed");
    only(&rig, "streams", Verdict::Wrong, "SS_REPORTS has max_message_size 4711, and must have").await;
    jetstream.update_stream(config).await.expect("changed back");
    reports.delete_consumer("engine").await.expect("deleted");
    only(&rig, "consumers", Verdict::Wrong, "the engine's consumer on SS_REPORTS is missing").await;
}

#[tokio::test]
async fn a_command_that_an_engine_took_and_never_sent_is_named() {
    for rig in [Rig::sqlite().await, Rig::postgres().await] {
        rig.create().await;
        rig.engine.stop().await;
        write(&rig, "UPDATE event_log SET ready = TRUE, claimed_until_ms = 1 WHERE kind = 'command'").await;
        only(&rig, "outbox", Verdict::Wrong, "1 commands were taken by an engine that has not sent them").await;
    }
}

#[tokio::test]
async fn a_database_whose_clock_is_ahead_is_named() {
    let mut database = TestDatabase::postgres().await.expect("a database");
    let ahead = "CREATE FUNCTION public.clock_timestamp() RETURNS timestamptz LANGUAGE sql AS \
                 $$ SELECT pg_catalog.clock_timestamp() + interval '10 s' $$";
    database.database.writer.execute_unprepared(ahead).await.expect("created");
    let and = if database.url.contains('?') { '&' } else { '?' };
    let url = format!("{}{and}options[search_path]=public,pg_catalog", database.url);
    database.database = open(&url, Role::SERVICE).await.expect("open");
    let rig = Rig::on(database).await;
    only(&rig, "database", Verdict::Warning, "its clock is 10 s ahead of this server's").await;
    rig.engine.stop().await;
}
