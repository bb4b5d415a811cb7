//! A controller on trial: what opens its breaker, that one probe decides, whichever engine sends it, and that its retries have a
//! budget.

use std::time::Duration;

use engine::CreateSession;
use engine::fold::fold;
use engine::store::{controller, session};
use engine::writer::Ask;
use futures::future::join_all;
use machine::breaker::{OPEN_MS, Order};
use machine::budget::BURST;
use sea_orm::{ConnectionTrait, DbBackend, Statement, TransactionTrait};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::rig::{Controller, OWNER, Rig, eventually, heartbeat, lane, request, start};

impl Rig {
    pub(crate) async fn host(&self, id: &str) -> controller::Model {
        engine::queries::controller(self.engine.reader(), id).await.expect("readable").expect("a controller")
    }

    async fn breaker(&self, state: &str) -> controller::Model {
        eventually(state, || async { Some(self.host(OWNER).await).filter(|row| row.breaker == state) }).await
    }

    /// A controller that speaks as rarely as it may.
    async fn patient(&self) -> Controller {
        let controller = self.controller().await;
        let mut beat = heartbeat(2, controller.instance);
        beat["interval_seconds"] = json!(machine::identity::MAX_INTERVAL_S);
        self.client.publish("streamspace.controller.heartbeat", beat.to_string().into()).await.expect("published");
        let patient = || async {
            Some(self.host(OWNER).await).filter(|row| row.interval_seconds == machine::identity::MAX_INTERVAL_S)
        };
        eventually("a patient controller", patient).await;
        controller
    }

    /// Time passes, and the controller speaks meanwhile.
    async fn later(&self, controller: &Controller, by: Duration) {
        let mut left = by;
        while !left.is_zero() {
            let step = left.min(Duration::from_secs(120));
            self.clock.advance(step);
            left -= step;
            let now_ms = self.engine.now_ms().await.expect("a time");
            let mut beat = heartbeat(2, controller.instance);
            beat["interval_seconds"] = json!(machine::identity::MAX_INTERVAL_S);
            self.client.publish("streamspace.controller.heartbeat", beat.to_string().into()).await.expect("published");
            let heard = || async { Some(self.host(OWNER).await).filter(|row| row.last_heartbeat_ms >= now_ms) };
            eventually("a heartbeat", heard).await;
        }
    }

    /// Sessions of two templates that fail for good until the breaker opens.
    async fn opened(&self, controller: &mut Controller) -> controller::Model {
        self.second_template().await;
        for n in 0..machine::breaker::THRESHOLD {
            let template_id = if n % 2 == 0 { "app" } else { "other" }.to_owned();
            self.engine.create_session(CreateSession { template_id, ..request() }).await.expect("accepted");
            let command = controller.take().await;
            controller.fail(&command, false).await;
        }
        self.breaker("open").await
    }

    async fn second_template(&self) {
        let manifest = "{apiVersion: stream.space/v1alpha1, kind: Template, metadata: {name: other}, \
            spec: {displayName: Other}}";
        let manifest = streams::wire::Manifest::parse_all(manifest).expect("a manifest");
        self.engine.put_templates(manifest).await.expect("written");
    }

    async fn order(&self, order: Order, why: &str) -> controller::Model {
        self.engine.order_breaker(OWNER, order, why.into(), "ann".into()).await.expect("ordered")
    }

    async fn decisions(&self, entity: &str) -> Vec<Value> {
        let rows = engine::queries::events(self.engine.reader(), entity, 0, 1000).await.expect("readable");
        rows.into_iter().map(|row| row.payload.into()).collect()
    }

    /// Sessions whose command is on its way.
    async fn under_way(&self, ids: &[Uuid]) -> Vec<session::Model> {
        let rows = join_all(ids.iter().map(|id| self.session(*id))).await;
        rows.into_iter().filter(|row| row.deadline_ms.is_some()).collect()
    }

    async fn folds(&self) {
        let row = self.host(OWNER).await;
        let folded = fold(self.engine.reader(), &controller::Model::entity(OWNER)).await.expect("no gaps");
        let row = serde_json::to_value(row).expect("JSON");
        for (name, value) in &folded {
            assert_eq!(value, &row[name], "{name}");
        }
        assert!(folded["breaker_kinds"].is_object(), "{folded:?}");
    }
}

async fn create(rig: &Rig, count: usize) -> Vec<Uuid> {
    let created = join_all((0..count).map(|_| rig.engine.create_session(request()))).await;
    created.into_iter().map(|row| row.expect("accepted").session_id).collect()
}

#[tokio::test]
async fn five_failures_open_it_one_probe_goes_out_and_its_success_lets_the_rest_follow() {
    for rig in [Rig::sqlite().await, Rig::postgres().await] {
        let mut controller = rig.patient().await;
        let open = rig.opened(&mut controller).await;
        assert_eq!(open.breaker_kinds, json!({ "driver": 5, "timeout": 0, "unreachable": 0 }));
        assert_eq!(
            (open.breaker_by.as_deref(), open.breaker_reason.as_deref()),
            (Some("failures"), Some("it went boom"))
        );
        let ids = create(&rig, 6).await;
        let reason = rig.session(ids[0]).await.reason.expect("a reason");
        assert!(reason.contains("host-1: circuit breaker open after 5 failures: it went boom"), "{reason}");
        assert!(rig.under_way(&ids).await.is_empty());

        rig.clock.advance(Duration::from_millis(OPEN_MS.unsigned_abs()));
        let probe = controller.take().await;
        let half_open = rig.breaker("half_open").await;
        assert_eq!(half_open.breaker_probe.map(|id| id.to_string()).as_deref(), probe["event_id"].as_str());
        let one = rig.under_way(&ids).await;
        assert_eq!(one.len(), 1, "{one:?}");
        controller.report(&probe, "running").await;
        rig.breaker("closed").await;
        for _ in 1..ids.len() {
            let command = controller.take().await;
            controller.report(&command, "running").await;
        }
        for id in ids {
            rig.until(id, "running").await;
        }
        rig.folds().await;
        rig.engine.stop().await;
    }
}

#[tokio::test]
async fn a_failed_probe_opens_it_for_twice_as_long_and_one_that_was_deleted_makes_room_for_another() {
    for rig in [Rig::sqlite().await, Rig::postgres().await] {
        let mut controller = rig.patient().await;
        rig.opened(&mut controller).await;
        let ids = create(&rig, 3).await;
        rig.clock.advance(Duration::from_millis(OPEN_MS.unsigned_abs()));
        let probe = controller.take().await;
        let id: Uuid = probe["session_id"].as_str().expect("an id").parse().expect("an id");
        rig.engine.ask(id, Ask::Delete { force: false }).await.expect("deleted");
        let delete = controller.take().await;
        let second = controller.take().await;
        assert!(delete.get("template").is_none() && second["session_id"] != probe["session_id"], "{second}");
        controller.fail(&second, false).await;
        let open = rig.breaker("open").await;
        assert_eq!(
            open.breaker_until_ms.zip(open.breaker_since_ms).map(|(until, since)| until - since),
            Some(2 * OPEN_MS)
        );
        let left = ids.iter().filter(|one| **one != id && second["session_id"] != json!(one));
        for id in left {
            assert_eq!(rig.session(*id).await.deadline_ms, None);
        }
        rig.folds().await;
        rig.engine.stop().await;
    }
}

#[tokio::test]
async fn two_engines_let_one_probe_through() {
    let rig = Rig::postgres().await;
    let other = start(&rig.database, &rig.nats, &rig.clock).await;
    let mut controller = rig.patient().await;
    rig.opened(&mut controller).await;
    for round in 0..4 {
        let until = rig.host(OWNER).await.breaker_until_ms.expect("a time");
        let now = rig.engine.now_ms().await.expect("a time");
        rig.later(&controller, Duration::from_millis((until - now).max(0).unsigned_abs())).await;
        rig.breaker("half_open").await;
        let asked = (0..20).map(|n| if n % 2 == 0 { &rig.engine } else { &other });
        let ids: Vec<Uuid> = join_all(asked.map(|engine| engine.create_session(request())))
            .await
            .into_iter()
            .map(|row| row.expect("accepted").session_id)
            .collect();
        let probe = controller.take().await;
        let rows = engine::queries::events(rig.engine.reader(), "controller:host-1", 0, 1000).await.expect("readable");
        let since = rows.iter().rposition(|row| row.payload["decision"] == "breaker_half_open").expect("half open");
        let sent = rows[since..].iter().filter(|row| row.payload["decision"] == "breaker_probe_sent").count();
        assert_eq!(sent, 1, "round {round}");
        let under_way = rig.under_way(&ids).await;
        assert!(under_way.len() <= 1, "round {round}: {under_way:?}");
        controller.fail(&probe, false).await;
        rig.breaker("open").await;
    }
    rig.folds().await;
    other.stop().await;
}

#[tokio::test]
async fn failures_that_two_engines_read_at_once_are_all_counted() {
    let rig = Rig::postgres().await;
    let other = start(&rig.database, &rig.nats, &rig.clock).await;
    let mut controller = rig.patient().await;
    rig.order(Order::HoldClosed, "a test").await;
    let ids = create(&rig, 40).await;
    for _ in &ids {
        let command = controller.take().await;
        controller.fail(&command, false).await;
    }
    for id in ids {
        rig.until(id, "failed").await;
    }
    let row = rig.host(OWNER).await;
    assert_eq!(
        (row.breaker.as_str(), row.breaker_failures, row.breaker_kinds["driver"].as_i64()),
        ("closed", 40, Some(40))
    );
    rig.folds().await;
    other.stop().await;
}

/// Engines take a controller's row one after the other, so that a heartbeat never writes back what another engine has changed.
#[tokio::test]
async fn a_heartbeat_waits_for_whoever_has_the_row_and_keeps_what_they_wrote() {
    let rig = Rig::postgres().await;
    let controller = rig.patient().await;
    let db = &rig.database.database.writer;
    let other = db.begin().await.expect("begun");
    other.execute_unprepared("UPDATE platform_controllers SET retry_ms = 77").await.expect("written");
    let mut beat = heartbeat(2, controller.instance);
    beat["capacity"]["sessions"] = json!(3);
    rig.client.publish("streamspace.controller.heartbeat", beat.to_string().into()).await.expect("published");
    let waits = "SELECT 1 AS n FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let waits = || Statement::from_string(DbBackend::Postgres, waits);
    eventually("the engine waits", || async { db.query_one_raw(waits()).await.expect("readable") }).await;
    other.commit().await.expect("committed");
    let heard = || async { Some(rig.host(OWNER).await).filter(|row| row.capacity["sessions"] == 3) };
    assert_eq!(eventually("the heartbeat", heard).await.retry_ms, 77);
    rig.engine.stop().await;
}

#[tokio::test]
async fn a_users_mistakes_never_open_it() {
    let rig = Rig::sqlite().await;
    let mut controller = rig.patient().await;
    for _ in 0..10 {
        let id = rig.create().await.session_id;
        let command = controller.take().await;
        let error = json!({ "code": "no_such_image", "message": "there is no such image", "retryable": false,
            "user_error": true });
        controller.publish(&lane(), controller.status(&command, "failed", json!({ "error": error }))).await;
        rig.until(id, "failed").await;
    }
    assert!(rig.host(OWNER).await.breaker().at_ease());
}

#[tokio::test]
async fn retries_of_many_sessions_have_one_budget_and_those_that_wait_say_so() {
    for rig in [Rig::sqlite().await, Rig::postgres().await] {
        let mut controller = rig.patient().await;
        rig.order(Order::HoldClosed, "only the budget is to be seen").await;
        let count = BURST as usize + 10;
        let ids = create(&rig, count).await;
        let begun = rig.engine.now_ms().await.expect("a time");
        for _ in 0..count {
            let command = controller.take().await;
            controller.fail(&command, true).await;
        }
        for id in &ids {
            let armed = || async { Some(rig.session(*id).await).filter(|row| row.next_attempt_ms.is_some()) };
            eventually("a retry is armed", armed).await;
        }
        rig.clock.advance(Duration::from_secs(2));
        let settled = || async {
            let rows = join_all(ids.iter().map(|id| rig.session(*id))).await;
            let again = rows.iter().filter(|row| row.attempt == 2).count();
            let waiting: Vec<_> = rows.into_iter().filter(|row| row.in_turn).collect();
            (again + waiting.len() == count).then_some((again, waiting))
        };
        let (again, waiting) = eventually("every retry has its turn", settled).await;
        let passed = (rig.engine.now_ms().await.expect("a time") - begun) / machine::budget::INTERVAL_MS;
        assert!(again <= BURST as usize + passed.unsigned_abs() as usize, "{again} at once");
        let reason = waiting.first().and_then(|row| row.reason.as_deref()).unwrap_or_default();
        assert_eq!(reason, "waits for its turn among the retries of controller host-1");
        let mut places: Vec<_> = waiting.iter().filter_map(|row| row.next_attempt_ms).collect();
        places.sort_unstable();
        assert!(places.windows(2).all(|two| two[1] - two[0] >= machine::budget::INTERVAL_MS), "{places:?}");
        rig.clock.advance(Duration::from_secs(60));
        for _ in 0..count {
            let command = controller.take().await;
            assert_eq!(command["attempt"], 2);
            controller.report(&command, "running").await;
        }
        for id in ids {
            rig.until(id, "running").await;
        }
        rig.engine.stop().await;
    }
}

#[tokio::test]
async fn an_operators_word_holds_and_is_in_the_log_with_their_name() {
    for rig in [Rig::sqlite().await, Rig::postgres().await] {
        let mut controller = rig.patient().await;
        let held = rig.order(Order::HoldOpen, "disk is replaced").await;
        assert_eq!((held.breaker.as_str(), held.breaker_held), ("open", true));
        assert_eq!(rig.order(Order::HoldOpen, "another reason").await, held, "it holds already");
        let id = rig.create().await.session_id;
        rig.later(&controller, Duration::from_secs(1200)).await;
        let reason = rig.session(id).await.reason.expect("a reason");
        assert!(reason.contains("held open by operator:ann: disk is replaced"), "{reason}");
        assert_eq!(rig.host(OWNER).await.breaker, "open");
        rig.order(Order::Release, "it is in").await;
        let probe = controller.take().await;
        controller.report(&probe, "running").await;
        rig.breaker("closed").await;
        let log = rig.decisions("controller:host-1").await;
        let orders: Vec<_> = log.iter().filter(|row| row.get("by").is_some()).collect();
        let told = |row: &Value| (row["decision"].clone(), row["by"].clone(), row["note"].clone());
        assert_eq!(
            orders.iter().map(|row| told(row)).collect::<Vec<_>>(),
            [
                (json!("breaker_held"), json!("ann"), json!("disk is replaced")),
                (json!("breaker_released"), json!("ann"), json!("it is in")),
            ]
        );
        rig.folds().await;
        let nobody = rig.engine.order_breaker("nobody", Order::Open, "x".into(), "ann".into()).await;
        assert!(nobody.is_err_and(|error| error.to_string().contains("no controller nobody")));
        rig.engine.stop().await;
    }
}

#[tokio::test]
async fn a_core_host_that_falls_silent_again_and_again_is_on_trial_too() {
    let rig = Rig::sqlite().await;
    let beat = heartbeat(1, Uuid::now_v7());
    for n in 1..=machine::breaker::THRESHOLD {
        rig.client.publish("streamspace.controller.heartbeat", beat.to_string().into()).await.expect("published");
        let healthy = || async {
            let row = engine::queries::controller(rig.engine.reader(), OWNER).await.expect("readable")?;
            Some(row).filter(|row| row.status.as_deref() == Some("healthy"))
        };
        eventually("healthy", healthy).await;
        rig.clock.advance(Duration::from_secs(31));
        let silent = || async { Some(rig.host(OWNER).await).filter(|row| row.status.as_deref() == Some("unhealthy")) };
        assert_eq!(eventually("silent", silent).await.breaker_kinds["unreachable"], n);
    }
    let row = rig.host(OWNER).await;
    assert_eq!((row.breaker.as_str(), row.breaker_reason.as_deref()), ("open", Some("no heartbeat")));
}

/// Fails with an error that says what it is about.
async fn fail_of(controller: &Controller, command: &Value, scope: Option<&str>, retryable: bool) {
    let mut error = json!({ "code": "not_ready", "message": "its port never answered", "retryable": retryable });
    if let Some(scope) = scope {
        error["scope"] = json!(scope);
    }
    controller.publish(&lane(), controller.status(command, "failed", json!({ "error": error }))).await;
}

#[tokio::test]
async fn one_session_that_fails_again_and_again_is_nobody_elses_trouble() {
    for rig in [Rig::sqlite().await, Rig::postgres().await] {
        let mut controller = rig.patient().await;
        rig.running(&mut controller).await; // the template has run here
        let id = rig.create().await.session_id;
        for attempt in 1..=8 {
            let command = controller.take().await;
            assert_eq!((&command["session_id"], command["attempt"].as_i64()), (&json!(id), Some(attempt)));
            fail_of(&controller, &command, None, true).await; // of a controller that knows no scopes
            let armed = || async { Some(rig.session(id).await).filter(|row| row.next_attempt_ms.is_some()) };
            eventually("the next attempt is armed", armed).await;
            rig.later(&controller, Duration::from_secs(400)).await;
        }
        let row = rig.host(OWNER).await;
        assert_eq!((row.breaker.as_str(), row.breaker_failures), ("closed", 8));
        assert_eq!(row.breaker().failing.len(), 1);
        rig.folds().await;
        rig.engine.stop().await;
    }
}

#[tokio::test]
async fn a_new_template_that_never_works_opens_nothing_and_one_that_has_run_here_does() {
    for rig in [Rig::sqlite().await, Rig::postgres().await] {
        let mut controller = rig.patient().await;
        for _ in 0..7 {
            rig.create().await;
            let command = controller.take().await;
            fail_of(&controller, &command, Some("session"), false).await;
        }
        let counted = || async { Some(rig.host(OWNER).await).filter(|row| row.breaker_failures == 7) };
        assert_eq!(eventually("seven failures", counted).await.breaker, "closed");
        rig.running(&mut controller).await;
        let ran = rig.host(OWNER).await;
        assert!(ran.breaker().at_ease() && ran.breaker().ran.iter().any(|one| one.starts_with("app@")), "{ran:?}");
        for _ in 0..5 {
            rig.create().await;
            let command = controller.take().await;
            fail_of(&controller, &command, None, false).await;
        }
        rig.breaker("open").await;
        rig.folds().await;
        rig.engine.stop().await;
    }
}

#[tokio::test]
async fn what_the_controller_puts_down_to_its_platform_opens_it_whichever_session_it_is() {
    let rig = Rig::sqlite().await;
    let mut controller = rig.patient().await;
    let id = rig.create().await.session_id;
    for attempt in 1..=machine::breaker::PLATFORM {
        let command = controller.take().await;
        assert_eq!(command["attempt"], attempt);
        fail_of(&controller, &command, Some("platform"), true).await;
        let settled = || async { Some(rig.session(id).await).filter(|row| row.deadline_ms.is_none()) };
        eventually("the attempt has failed", settled).await;
        if attempt < machine::breaker::PLATFORM {
            assert_eq!(rig.host(OWNER).await.breaker, "closed", "the first may be a blip");
            rig.clock.advance(Duration::from_secs(5));
        }
    }
    assert_eq!(rig.breaker("open").await.breaker_kinds["platform"], 2);
    rig.folds().await;
}

#[tokio::test]
async fn deletes_and_hibernations_that_fail_never_open_it() {
    for rig in [Rig::sqlite().await, Rig::postgres().await] {
        let mut controller = rig.patient().await;
        let mut ids = Vec::new();
        for _ in 0..8 {
            ids.push(rig.running(&mut controller).await.0);
        }
        for (n, id) in ids.iter().enumerate() {
            let ask = if n % 2 == 0 { Ask::Delete { force: false } } else { Ask::Hibernate };
            rig.engine.ask(*id, ask).await.expect("asked");
            let command = controller.take().await;
            fail_of(&controller, &command, Some("platform"), false).await;
            rig.until(*id, "failed").await;
        }
        assert!(rig.host(OWNER).await.breaker().at_ease());
        rig.engine.stop().await;
    }
}

#[tokio::test]
async fn the_probe_is_a_session_that_has_not_failed_here() {
    for rig in [Rig::sqlite().await, Rig::postgres().await] {
        let mut controller = rig.patient().await;
        rig.second_template().await;
        let mut failed = Vec::new();
        for n in 0..5 {
            let template_id = if n % 2 == 0 { "app" } else { "other" }.to_owned();
            let asked = CreateSession { template_id, ..request() };
            failed.push(rig.engine.create_session(asked).await.expect("accepted").session_id);
            let command = controller.take().await;
            fail_of(&controller, &command, None, true).await;
        }
        rig.breaker("open").await;
        let fresh = rig.create().await.session_id;
        rig.clock.advance(Duration::from_millis(OPEN_MS.unsigned_abs()));
        let probe = controller.take().await;
        assert_eq!(probe["session_id"], json!(fresh), "the others are older, and have failed here");
        controller.report(&probe, "running").await;
        rig.breaker("closed").await;
        for _ in &failed {
            let command = controller.take().await;
            controller.report(&command, "running").await;
        }
        for id in failed {
            rig.until(id, "running").await;
        }
        rig.folds().await;
        rig.engine.stop().await;
    }
}

#[tokio::test]
async fn where_only_what_has_failed_here_waits_one_of_them_is_the_probe_after_a_while() {
    let rig = Rig::sqlite().await;
    let mut controller = rig.patient().await;
    rig.second_template().await;
    for n in 0..5 {
        let template_id = if n % 2 == 0 { "app" } else { "other" }.to_owned();
        rig.engine.create_session(CreateSession { template_id, ..request() }).await.expect("accepted");
        let command = controller.take().await;
        fail_of(&controller, &command, None, true).await;
    }
    rig.breaker("open").await;
    rig.clock.advance(Duration::from_millis(OPEN_MS.unsigned_abs()));
    rig.breaker("half_open").await;
    rig.clock.advance(Duration::from_millis(machine::breaker::GRACE_MS.unsigned_abs()));
    let probe = controller.take().await;
    controller.report(&probe, "running").await;
    rig.breaker("closed").await;
}
