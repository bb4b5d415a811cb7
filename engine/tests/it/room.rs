//! Room on controllers: no start goes beyond it, whoever asks and whichever engine decides; what waits is seen, and served in its
//! order the moment there is room.

use std::time::{Duration, Instant};

use engine::CreateSession;
use engine::fold::fold;
use engine::queue::{QueueFilter, WaitsFor, list};
use engine::store::session;
use engine::writer::Ask;
use futures::future::join_all;
use sea_orm::{ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::rig::{Controller, OWNER, PLATFORM, Rig, eventually, heartbeat, request, start};

/// Far less than the slow scan takes to come round.
const AT_ONCE: Duration = Duration::from_secs(5);

impl Rig {
    async fn beats(&self, id: &str, instance: Uuid, capacity: Value) {
        let mut beat = heartbeat(2, instance);
        beat["controller_id"] = json!(id);
        beat["capacity"] = capacity;
        beat["interval_seconds"] = json!(3600);
        self.client.publish("streamspace.controller.heartbeat", beat.to_string().into()).await.expect("published");
    }

    /// A controller that can hold so many sessions.
    async fn with_room(&self, id: &str, sessions_max: u32) -> Controller {
        let controller = self.controller_named(id).await;
        self.beats(id, controller.instance, json!({ "sessions_max": sessions_max, "sessions": 0 })).await;
        let known = || async { Some(self.host(id).await).filter(|row| row.limit() == Some(sessions_max)) };
        eventually("its room is known", known).await;
        controller
    }

    async fn of(&self, user: &str) -> Uuid {
        let asked = CreateSession { user_id: user.into(), ..request() };
        self.engine.create_session(asked).await.expect("accepted").session_id
    }

    /// Sessions that hold a place on a controller.
    async fn held(&self, id: &str) -> u64 {
        let find = session::Entity::find().filter(session::Column::HasRoom.eq(true));
        find.filter(session::Column::ControllerId.eq(id)).count(self.engine.reader()).await.expect("readable")
    }

    async fn asleep_here(&self, controller: &mut Controller, id: Uuid) {
        self.engine.ask(id, Ask::Hibernate).await.expect("asked");
        let command = controller.take().await;
        controller.report(&command, "hibernated").await;
        self.until(id, "hibernated").await;
    }

    async fn gone(&self, controller: &mut Controller, id: Uuid) {
        self.engine.ask(id, Ask::Delete { force: false }).await.expect("asked");
        let command = controller.take().await;
        assert_eq!(command["session_id"], json!(id));
        controller.report(&command, "deleted").await;
        self.until(id, "deleted").await;
    }

    async fn session_folds(&self, id: Uuid) {
        let folded = fold(self.engine.reader(), &session::Model::entity(id)).await.expect("no gaps");
        assert_eq!(folded, self.session(id).await.hard().expect("readable"));
    }
}

async fn starts(controller: &mut Controller) -> Uuid {
    let command = controller.take().await;
    controller.report(&command, "running").await;
    command["session_id"].as_str().expect("an id").parse().expect("an id")
}

#[tokio::test]
async fn what_has_no_room_waits_with_the_reason_and_goes_the_moment_something_is_deleted() {
    for rig in [Rig::sqlite().await, Rig::postgres().await] {
        let mut host = rig.with_room(OWNER, 2).await;
        let (first, second) = (rig.of("ann").await, rig.of("ann").await);
        let third = rig.of("bob").await;
        for _ in 0..2 {
            starts(&mut host).await;
        }
        rig.until(first, "running").await;
        rig.until(second, "running").await;
        let waiting = rig.session(third).await;
        assert!(waiting.reason.as_deref().is_some_and(|why| why.contains("host-1: full (2 sessions)")), "{waiting:?}");
        assert_eq!((waiting.controller_id, waiting.deadline_ms), (None, None));

        let begun = Instant::now();
        rig.gone(&mut host, first).await;
        assert_eq!(starts(&mut host).await, third);
        assert!(begun.elapsed() < AT_ONCE, "{:?}", begun.elapsed());
        rig.until(third, "running").await;
        assert_eq!(rig.held(OWNER).await, 2);
        rig.engine.stop().await;
    }
}

#[tokio::test]
async fn a_wake_waits_for_its_owner_visibly_without_a_deadline_and_is_served_at_once() {
    for rig in [Rig::sqlite().await, Rig::postgres().await] {
        let mut host = rig.with_room(OWNER, 1).await;
        let sleeper = rig.of("ann").await;
        starts(&mut host).await;
        rig.until(sleeper, "running").await;
        rig.asleep_here(&mut host, sleeper).await;
        let awake = rig.of("bob").await;
        assert_eq!(starts(&mut host).await, awake, "what sleeps holds no room");
        rig.until(awake, "running").await;
        let _elsewhere = rig.with_room("host-2", 5).await;

        let row = rig.engine.ask(sleeper, Ask::Wake).await.expect("accepted");
        assert_eq!((row.status.as_str(), row.controller_id.as_deref()), ("waking", Some(OWNER)), "its files are there");
        assert_eq!((row.deadline_ms, row.next_attempt_ms), (None, None));
        assert_eq!(row.reason.as_deref(), Some("controller host-1 has no room now (1 of 1 sessions)"));
        let queue = list(rig.engine.reader(), &QueueFilter::default(), None, 10).await.expect("readable");
        let told: Vec<_> = queue.iter().map(|row| (row.id, row.waits_for(), row.place)).collect();
        assert_eq!(told, [(sleeper, WaitsFor::Room, 1)]);
        assert_eq!(queue[0].reason, row.reason);

        for _ in 0..5 {
            rig.clock.advance(Duration::from_secs(120)); // together longer than any deadline
            let now_ms = rig.engine.now_ms().await.expect("a time");
            rig.beats(OWNER, host.instance, json!({ "sessions_max": 1, "sessions": 0 })).await;
            let heard = || async { Some(rig.host(OWNER).await).filter(|row| row.last_heartbeat_ms >= now_ms) };
            eventually("the controller is heard", heard).await;
        }
        let row = rig.session(sleeper).await;
        assert_eq!((row.attempt, row.command_id.is_some()), (0, true), "time alone changes nothing");
        let begun = Instant::now();
        rig.asleep_here(&mut host, awake).await;
        assert_eq!(starts(&mut host).await, sleeper);
        assert!(begun.elapsed() < AT_ONCE, "{:?}", begun.elapsed());
        let row = rig.until(sleeper, "running").await;
        assert_eq!(row.has_room, Some(true));
        for id in [sleeper, awake] {
            rig.session_folds(id).await;
        }
        rig.engine.stop().await;
    }
}

#[tokio::test]
async fn a_session_that_fails_keeps_its_place_while_it_is_tried_again_and_gives_it_back_when_it_is_given_up() {
    let rig = Rig::sqlite().await;
    let mut host = rig.with_room(OWNER, 1).await;
    let failing = rig.of("ann").await;
    let command = host.take().await;
    host.fail(&command, true).await;
    let armed = || async { Some(rig.session(failing).await).filter(|row| row.next_attempt_ms.is_some()) };
    eventually("a retry is armed", armed).await;
    let other = rig.of("bob").await;
    assert_eq!(rig.session(other).await.controller_id, None, "the place is taken");
    rig.clock.advance(Duration::from_secs(3));
    let again = host.take().await;
    assert_eq!((&again["session_id"], again["attempt"].as_i64()), (&json!(failing), Some(2)));
    host.fail(&again, false).await;
    assert_eq!(starts(&mut host).await, other);
    rig.until(failing, "failed").await;
    let row = rig.engine.ask(failing, Ask::Wake).await.expect("accepted");
    assert!(row.reason.is_some_and(|why| why.contains("no room now")), "a wake of what failed is a start, too");
}

#[tokio::test]
async fn those_that_wait_are_served_in_the_fair_order_and_what_does_not_fit_is_passed_over() {
    for rig in [Rig::sqlite().await, Rig::postgres().await] {
        let mut host = rig.with_room(OWNER, 1).await;
        let first = rig.of("ann").await;
        starts(&mut host).await;
        rig.until(first, "running").await;
        let moon = serde_json::Map::from_iter([("zone".to_owned(), json!("moon"))]);
        let never = CreateSession { selector: moon, user_id: "eve".into(), ..request() };
        rig.engine.create_session(never).await.expect("accepted");
        let anns = join_all((0..5).map(|_| rig.of("ann"))).await;
        let bobs = rig.of("bob").await;
        let mut running = first;
        let mut served = Vec::new();
        for _ in 0..3 {
            rig.gone(&mut host, running).await;
            running = starts(&mut host).await;
            rig.until(running, "running").await;
            served.push(running);
            assert_eq!(rig.held(OWNER).await, 1);
        }
        let place = served.iter().position(|id| *id == bobs).expect("bob is among the first");
        assert!(place <= 1, "the crowd of another is not before him: {place}");
        assert!(served.iter().filter(|id| **id != bobs).all(|id| anns.contains(id)));
        rig.engine.stop().await;
    }
}

#[tokio::test]
async fn engines_that_start_at_the_same_time_never_exceed_what_there_is_room_for() {
    let rig = Rig::postgres().await;
    let other = start(&rig.database, &rig.nats, &rig.clock).await;
    let mut host = rig.with_room(OWNER, 4).await;
    let mut sleepers = Vec::new();
    for _ in 0..4 {
        let id = rig.of("ann").await;
        starts(&mut host).await;
        rig.until(id, "running").await;
        sleepers.push(id);
    }
    for id in &sleepers {
        rig.asleep_here(&mut host, *id).await;
    }
    let engines = [&rig.engine, &other];
    let created = join_all((0..24).map(|n| engines[n % 2].create_session(request())));
    let woken = join_all(sleepers.iter().enumerate().map(|(n, id)| engines[n % 2].ask(*id, Ask::Wake)));
    let (created, woken) = tokio::join!(created, woken);
    assert!(created.iter().all(Result::is_ok) && woken.iter().all(Result::is_ok));
    let all = created.len() + woken.len();
    let (begun, mut deleted) = (Instant::now(), 0);
    while deleted < all {
        let command = host.take().await;
        let id: Uuid = command["session_id"].as_str().expect("an id").parse().expect("an id");
        let start = command["force"].is_null();
        host.report(&command, if start { "running" } else { "deleted" }).await;
        rig.until(id, if start { "running" } else { "deleted" }).await;
        let held = rig.held(OWNER).await;
        assert!(held <= 4, "{held} of 4");
        if start {
            engines[deleted % 2].ask(id, Ask::Delete { force: false }).await.expect("asked");
        } else {
            deleted += 1;
        }
    }
    assert!(begun.elapsed() < 6 * AT_ONCE, "nobody waited for a poll: {:?}", begun.elapsed());
    other.stop().await;
    rig.engine.stop().await;
}

#[tokio::test]
async fn a_host_that_gets_more_room_takes_what_waits_and_what_is_in_no_table_takes_room_too() {
    let rig = Rig::sqlite().await;
    let mut host = rig.with_room(OWNER, 3).await;
    rig.beats(OWNER, host.instance, json!({ "sessions_max": 3, "sessions": 2 })).await;
    let strangers = || async { Some(rig.host(OWNER).await).filter(|row| row.foreign() == 2) };
    eventually("two of its sessions are unknown", strangers).await;
    let first = rig.of("ann").await;
    let second = rig.of("ann").await;
    assert_eq!(starts(&mut host).await, first);
    rig.until(first, "running").await;
    let row = rig.session(second).await;
    assert!(row.reason.is_some_and(|why| why.contains("full (3 sessions)")));
    let begun = Instant::now();
    rig.beats(OWNER, host.instance, json!({ "sessions_max": 3, "sessions": 2 })).await; // one of them is ours by now
    assert_eq!(starts(&mut host).await, second);
    assert!(begun.elapsed() < AT_ONCE, "{:?}", begun.elapsed());
    rig.until(second, "running").await;
}

#[tokio::test]
async fn what_moves_away_from_a_revoked_host_finds_only_as_many_places_as_there_are() {
    for rig in [Rig::sqlite().await, Rig::postgres().await] {
        let mut old = rig.with_room(OWNER, 5).await;
        let mut ids = Vec::new();
        for _ in 0..3 {
            let id = rig.of("ann").await;
            starts(&mut old).await;
            rig.until(id, "running").await;
            ids.push(id);
        }
        let mut new = rig.with_room("host-2", 2).await;
        rig.engine.revoke(OWNER, "its disk".into(), "ann".into()).await.expect("revoked");
        let (one, two) = (starts(&mut new).await, starts(&mut new).await);
        let third = ids.iter().copied().find(|id| ![one, two].contains(id)).expect("a third");
        let waits = || async { Some(rig.session(third).await).filter(|row| row.controller_id.is_none()) };
        let reason = eventually("it waits", waits).await.reason.unwrap_or_default();
        assert!(reason.contains("host-2: full (2 sessions)"), "{reason}");
        assert_eq!(rig.held("host-2").await, 2);
        rig.until(one, "running").await;
        rig.gone(&mut new, one).await;
        assert_eq!(starts(&mut new).await, third);
        for id in [two, third] {
            rig.until(id, "running").await;
        }
        for id in ids {
            rig.session_folds(id).await;
        }
        rig.engine.stop().await;
    }
}

#[tokio::test]
async fn a_row_of_a_version_that_does_not_know_of_room_counts_by_its_state() {
    use sea_orm::ConnectionTrait;
    for rig in [Rig::sqlite().await, Rig::postgres().await] {
        let mut host = rig.with_room(OWNER, 1).await;
        let first = rig.of("ann").await;
        starts(&mut host).await;
        rig.until(first, "running").await;
        let db = &rig.database.database.writer;
        db.execute_unprepared("UPDATE sessions SET has_room = NULL").await.expect("written");
        let second = rig.of("ann").await;
        assert_eq!(rig.session(second).await.controller_id, None);
        rig.gone(&mut host, first).await;
        assert_eq!(starts(&mut host).await, second);
        rig.session_folds(first).await;
        rig.engine.stop().await;
    }
}

#[tokio::test]
async fn a_start_may_take_as_long_as_its_template_says() {
    let rig = Rig::sqlite().await;
    let mut host = rig.with_room(OWNER, 5).await;
    let manifest = "{apiVersion: stream.space/v1alpha1, kind: Template, metadata: {name: slow}, spec: {displayName: Slow, \
        local: {command: [x], readiness: {timeout: 20m}}}}";
    let manifests = streams::wire::Manifest::parse_all(manifest).expect("a manifest");
    rig.engine.put_templates(manifests).await.expect("written");
    let slow = CreateSession { template_id: "slow".into(), platform: Some(PLATFORM.into()), ..request() };
    let id = rig.engine.create_session(slow).await.expect("accepted").session_id;
    let command = host.take().await;
    host.report(&command, "creating").await;
    let row = rig.until(id, "creating").await;
    let patience = row.deadline_ms.expect("armed") - row.created_ms;
    assert_eq!(patience, machine::command::DEADLINE_MS + 20 * 60_000);
}
