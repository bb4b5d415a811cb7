//! The live feed: every row once, in order, from any place, on both databases.

use std::time::Duration;

use engine::feed::{After, Cut, Error, Filter, Position, RING, Told, Watcher};
use futures::future::join_all;
use migrations::testing::TestDatabase;
use rand::RngExt;
use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, Statement, TransactionTrait};
use uuid::Uuid;

use crate::rig::{OWNER, PLATFORM, Rig, request, start};

/// Writes rows as a transaction of the writer would; `entity` must be new.
async fn log(db: &impl ConnectionTrait, entity: &str, rows: i64) {
    let backend = db.get_database_backend();
    for seq in 1..=rows {
        let sql = "INSERT INTO event_log (event_id, subject, payload, entity, entity_seq, kind, direction, created_ms)
            VALUES ($1, 'streamspace.test', '{}', $2, $3, 'decision', 'own', 0)";
        let values = [Uuid::now_v7().into(), entity.into(), seq.into()];
        db.execute_raw(Statement::from_sql_and_values(backend, sql, values)).await.expect("written");
    }
}

/// Many rows at once, in one transaction.
async fn burst(db: &DatabaseConnection, entity: &str, rows: usize) {
    let numbers = match db.get_database_backend() {
        DbBackend::Postgres => format!("SELECT n, gen_random_uuid() AS id FROM generate_series(1, {rows}) AS n"),
        _ => format!(
            "WITH RECURSIVE many(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM many WHERE n < {rows})
             SELECT n, randomblob(16) AS id FROM many"
        ),
    };
    let sql = format!(
        "INSERT INTO event_log (event_id, subject, payload, entity, entity_seq, kind, direction, created_ms)
         SELECT id, 'streamspace.test', '{{}}', '{entity}', n, 'decision', 'own', 0 FROM ({numbers}) AS numbers"
    );
    execute(db, &sql).await;
}

async fn execute(db: &DatabaseConnection, sql: &str) {
    db.execute_unprepared(sql).await.expect("executed");
}

/// What the log has, in no order.
async fn written(db: &DatabaseConnection) -> Vec<(String, i64)> {
    let sql = "SELECT entity, entity_seq FROM event_log";
    let rows = db.query_all_raw(Statement::from_string(db.get_database_backend(), sql)).await.expect("readable");
    let mut all: Vec<_> =
        rows.iter().map(|row| (row.try_get("", "entity").unwrap(), row.try_get("", "entity_seq").unwrap())).collect();
    all.sort();
    all
}

async fn item(watcher: &mut Watcher) -> (String, i64, Position) {
    match tokio::time::timeout(Duration::from_secs(20), watcher.next()).await.expect("in time") {
        Told::Item(item) => (item.entity.clone(), item.entity_seq, item.position),
        Told::Cut(cut) => panic!("cut: {cut:?}"),
    }
}

async fn items(watcher: &mut Watcher, count: usize) -> Vec<(String, i64)> {
    let mut seen = Vec::new();
    for _ in 0..count {
        let (entity, seq, _) = item(watcher).await;
        seen.push((entity, seq));
    }
    seen
}

async fn from_start(rig: &Rig) -> Watcher {
    rig.engine.feed().watch(Filter::default(), Some(After::Position(Position::START))).await.expect("watches")
}

/// From now on, once what was written before is settled: a transaction of anybody on the same server may hold that up.
async fn from_now(rig: &Rig) -> Watcher {
    let before = written(rig.engine.reader()).await.len();
    items(&mut from_start(rig).await, before).await;
    rig.engine.feed().watch(Filter::default(), None).await.expect("watches")
}

async fn both() -> [Rig; 2] {
    [Rig::sqlite().await, Rig::postgres().await]
}

#[tokio::test]
async fn everything_that_many_write_at_once_is_told_once_and_in_order_of_each_session() {
    for rig in both().await {
        let mut live = from_now(&rig).await;
        let created = join_all((0..150).map(|_| rig.engine.create_session(request()))).await;
        assert!(created.iter().all(Result::is_ok));
        let mut told = Vec::new();
        while told.len() < 150 {
            let (entity, seq, position) = item(&mut live).await;
            assert!(told.iter().all(|(_, _, before)| *before < position), "in order");
            told.push((entity, seq, position));
        }
        let mut again = from_start(&rig).await;
        let all = written(rig.engine.reader()).await.len();
        let history = items(&mut again, all).await;
        let live: Vec<_> = told.into_iter().map(|(entity, seq, _)| (entity, seq)).collect();
        assert_eq!(&history[all - 150..], live, "history and ring tell the same");
    }
}

#[tokio::test]
async fn a_transaction_that_commits_late_is_never_passed_by() {
    let rig = Rig::postgres().await;
    let db = &rig.database.database.writer;
    let mut live = from_now(&rig).await;
    let (early, dropped) = (db.begin().await.unwrap(), db.begin().await.unwrap());
    log(&early, "test:early", 2).await;
    log(&dropped, "test:dropped", 1).await;
    log(db, "test:late", 1).await; // committed, with higher ids, while two others run
    execute(db, "SELECT pg_notify('streamspace_commits', 'another log')").await;
    crate::rig::eventually("the tail has seen the row that waits", || async {
        let text = rig.engine.metrics();
        let held = text.lines().find_map(|line| line.strip_prefix("streamspace_feed_held_back_seconds "))?;
        (held.parse::<f64>().ok()? > 0.0).then_some(())
    })
    .await;
    let nothing = live.ready();
    assert!(nothing.is_none(), "told before its turn: {nothing:?}");
    early.commit().await.unwrap();
    assert_eq!(items(&mut live, 2).await, [("test:early".into(), 1), ("test:early".into(), 2)]);
    dropped.rollback().await.unwrap();
    assert_eq!(items(&mut live, 1).await, [("test:late".into(), 1)]);
}

/// Transactions of random length that overlap, some of which are taken back.
async fn storm(db: DatabaseConnection, name: usize) {
    for round in 0..12 {
        let (rows, pauses, keep) = {
            let mut rng = rand::rng();
            (rng.random_range(1..4), rng.random_range(0..40), rng.random_bool(0.8))
        };
        let tx = db.begin().await.expect("begun");
        log(&tx, &format!("test:{name}-{round}"), rows).await;
        for _ in 0..pauses {
            tokio::task::yield_now().await;
        }
        log(&tx, &format!("test:{name}-{round}-more"), 1).await;
        if keep { tx.commit().await } else { tx.rollback().await }.expect("ended");
    }
}

/// Reads everything up to the row of `end`, and comes back as somebody new after every few rows.
async fn restless(rig: &Rig, patience: usize) -> Vec<(String, i64)> {
    let (mut after, mut seen) = (Position::START, Vec::new());
    loop {
        let mut watcher = rig
            .engine
            .feed()
            .watch(Filter::default(), Some(After::Position(after)))
            .await
            .expect("the position is good");
        for _ in 0..patience {
            let (entity, seq, _) = item(&mut watcher).await;
            let ended = entity == "test:end";
            seen.push((entity, seq));
            if ended {
                return seen;
            }
        }
        after = watcher.position();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_order_transactions_end_in_all_watchers_see_all_rows_once_and_in_one_order() {
    for rig in both().await {
        let db = rig.database.database.writer.clone();
        let writing = async {
            let writers = if rig.database.backend() == DbBackend::Postgres { 4 } else { 1 };
            join_all((0..writers).map(|name| storm(db.clone(), name))).await;
            log(&db, "test:end", 1).await;
        };
        let ((), one, seven, all) = tokio::join!(writing, restless(&rig, 1), restless(&rig, 7), restless(&rig, 10_000));
        assert_eq!(one, seven);
        assert_eq!(one, all);
        let mut sorted = one;
        sorted.sort();
        assert_eq!(sorted, written(rig.engine.reader()).await, "all of it, and once");
    }
}

#[tokio::test]
async fn a_watcher_goes_on_after_a_restart_where_it_was() {
    for mut rig in both().await {
        let mut before = from_start(&rig).await;
        rig.create().await;
        let first = item(&mut before).await;
        let mut told = vec![(first.0, first.1)];
        rig.restart().await;
        let mut told_it = false;
        for _ in 0..1000 {
            match before.next().await {
                Told::Item(item) => told.push((item.entity.clone(), item.entity_seq)),
                Told::Cut(Cut::Stopping) => {
                    told_it = true;
                    break;
                }
                Told::Cut(other) => panic!("{other:?}"),
            }
        }
        assert!(told_it, "the watcher of a stopped engine is told where to go on");
        rig.create().await;
        let text = before.position().to_string();
        let mut after = rig.engine.feed().watch(Filter::default(), text.parse().ok()).await.expect("goes on");
        let all = written(rig.engine.reader()).await;
        let rest = all.len() - told.len();
        told.extend(items(&mut after, rest).await);
        told.sort();
        assert_eq!(told, all);
    }
}

#[tokio::test]
async fn another_engine_on_the_same_database_goes_on_where_this_one_was_and_hears_its_commits() {
    let rig = Rig::postgres().await;
    let other = start(&rig.database, &rig.nats, &rig.clock).await;
    let mut here = from_now(&rig).await;
    let mut there = other.feed().watch(Filter::default(), None).await.expect("watches");
    let mut watch = other.watch_session(uuid::Uuid::nil());
    let id = rig.create().await.session_id;
    tokio::time::timeout(Duration::from_secs(20), watch.next()).await.expect("heard");
    let first = item(&mut here).await;
    assert_eq!(first.0, format!("session:{id}"));
    assert_eq!(item(&mut there).await, first, "the other engine tells the same item with the same id");
    rig.engine.stop().await;
    let next = other.create_session(request()).await.expect("accepted").session_id;
    let mut failed_over =
        other.feed().watch(Filter::default(), Some(After::Position(here.position()))).await.expect("goes on");
    assert_eq!(item(&mut failed_over).await.0, format!("session:{next}"));
    other.stop().await;
}

#[tokio::test]
async fn a_burst_longer_than_the_ring_cuts_nobody_who_reads() {
    for rig in both().await {
        let mut watcher = from_now(&rig).await;
        burst(&rig.database.database.writer, "test:burst", 3 * RING).await;
        passed(&rig, 3 * RING).await;
        let expected: Vec<_> = (1..=3 * RING as i64).map(|seq| ("test:burst".to_owned(), seq)).collect();
        assert!(items(&mut watcher, 3 * RING).await == expected, "all of it, once, in order");
    }
}

/// Waits until the ring has had so many rows.
async fn passed(rig: &Rig, rows: usize) {
    let what = format!("{rows} rows went through the ring");
    crate::rig::eventually(&what, || async {
        let text = rig.engine.metrics();
        let count = text.lines().find_map(|line| line.strip_prefix("streamspace_feed_rows_total "))?;
        (count.parse::<usize>().ok()? >= rows).then_some(())
    })
    .await;
}

#[tokio::test]
async fn who_reads_too_slowly_is_cut_and_misses_nothing_when_it_comes_back() {
    for rig in both().await {
        let mut slow = from_now(&rig).await;
        rig.create().await;
        let first = item(&mut slow).await;
        burst(&rig.database.database.writer, "test:many", 5 * RING).await;
        passed(&rig, 5 * RING).await;
        let told = slow.next().await;
        assert!(matches!(told, Told::Cut(Cut::Slow)), "{told:?}");
        assert_eq!(slow.position(), first.2);
        let back = rig.engine.feed().watch(Filter::default(), Some(After::Position(first.2))).await;
        let mut seen = items(&mut back.expect("goes on"), 5 * RING).await;
        seen.retain(|(entity, _)| entity == "test:many");
        assert!(seen.iter().map(|(_, seq)| *seq).eq(1..=5 * RING as i64), "all of it, once, in order");
    }
}

#[tokio::test]
async fn a_position_of_another_history_is_refused_and_never_becomes_a_gap() {
    for rig in both().await {
        let db = &rig.database.database.writer;
        let feed = rig.engine.feed();
        log(db, "test:kept", 1).await;
        log(db, "test:lost", 1).await;
        let mut watcher = from_start(&rig).await;
        let mut last = item(&mut watcher).await;
        while last.0 != "test:lost" {
            last = item(&mut watcher).await;
        }
        let lost = Some(After::Position(last.2));
        // as a backup would leave it, with its counter, and then somebody writes
        execute(db, "DELETE FROM event_log WHERE entity = 'test:lost'").await;
        if rig.database.backend() == DbBackend::Sqlite {
            execute(db, "UPDATE sqlite_sequence SET seq = (SELECT max(id) FROM event_log) WHERE name = 'event_log'")
                .await;
        }
        assert!(matches!(feed.watch(Filter::default(), lost).await, Err(Error::Gone)));
        log(db, "test:other", 1).await;
        assert!(matches!(feed.watch(Filter::default(), lost).await, Err(Error::Gone)), "the id is in use again");
        let told = tokio::time::timeout(Duration::from_secs(20), watcher.next()).await.expect("in time");
        assert!(matches!(told, Told::Cut(Cut::Gone)), "{told:?}");
        let stranger = Uuid::now_v7();
        let unknown = feed.watch(Filter::default(), Some(After::Event(stranger))).await;
        assert!(matches!(unknown, Err(Error::Unknown(id)) if id == stranger));
    }
}

#[tokio::test]
async fn behind_the_horizon_nobody_goes_on() {
    for rig in both().await {
        let db = &rig.database.database.writer;
        assert_eq!(rig.engine.feed().oldest().await.expect("readable"), Position::START);
        log(db, "test:row", 3).await;
        let mut watcher = from_start(&rig).await;
        let (first, second) = (item(&mut watcher).await.2, item(&mut watcher).await.2);
        execute(db, &format!("INSERT INTO meta (key, value) VALUES ('feed_horizon', '{second}')")).await;
        assert_eq!(rig.engine.feed().oldest().await.expect("readable"), second);
        for gone in [Position::START, first] {
            let watched = rig.engine.feed().watch(Filter::default(), Some(After::Position(gone))).await;
            assert!(matches!(watched, Err(Error::Gone)));
        }
        rig.engine
            .feed()
            .watch(Filter::default(), Some(After::Position(second)))
            .await
            .expect("the horizon itself is kept");
    }
}

#[tokio::test]
async fn a_restored_dump_keeps_its_order_and_new_rows_follow_it() {
    let rig = Rig::postgres().await;
    let db = &rig.database.database;
    let before = written(&db.reader).await.len();
    log(&db.writer, "test:a", 1).await;
    log(&db.writer, "test:b", 1).await;
    // numbers of a cluster that was far ahead, where b was committed before a
    execute(&db.writer, "UPDATE event_log SET feed_xact = 4000000009 WHERE entity = 'test:a'").await;
    execute(&db.writer, "UPDATE event_log SET feed_xact = 4000000001 WHERE entity = 'test:b'").await;
    let refused = migrations::schema::require_current(db).await;
    assert!(matches!(refused, Err(migrations::Error::Restored)), "{refused:?}");
    migrations::migrate(db).await.expect("settled");
    migrations::schema::require_current(db).await.expect("good");
    log(&db.writer, "test:new", 1).await;
    let told = items(&mut from_start(&rig).await, before + 3).await;
    let named = |name: &str| (format!("test:{name}"), 1);
    assert_eq!(&told[before..], [named("b"), named("a"), named("new")]);
}

#[tokio::test]
async fn a_filter_lets_through_what_it_names_and_moves_on_with_the_rest() {
    for rig in both().await {
        let session = rig.create().await.session_id;
        // not from now on: transactions of other tests may hold back what was just written
        let newest = rig.log(session).await.last().expect("a row").event_id;
        let after = Some(After::Event(newest));
        let watch = async |filter| rig.engine.feed().watch(filter, after).await.expect("watches");
        let entity = format!("session:{session}");
        let mut mine = watch(Filter { entity: Some(entity.clone()), ..Filter::default() }).await;
        let mut noun = watch(Filter { entity: Some("session".into()), ..Filter::default() }).await;
        let mut user =
            watch(Filter { user_id: Some("ann".into()), platform: Some("noop".into()), ..Filter::default() }).await;
        let mut nobody = watch(Filter { user_id: Some("bob".into()), ..Filter::default() }).await;
        let mut subject = watch(Filter { subject: "streamspace.session.>".parse().ok(), ..Filter::default() }).await;
        let db = &rig.database.database.writer;
        log(db, "test:else", 1).await;
        let other = format!("session:{}", rig.create().await.session_id);
        rig.engine.ask(session, engine::writer::Ask::Delete { force: false }).await.expect("accepted");
        for seen in [item(&mut noun).await, item(&mut user).await, item(&mut subject).await] {
            assert_eq!(seen.0, other);
        }
        let deleted = item(&mut mine).await;
        assert_eq!(deleted.0, entity);
        assert!(nobody.ready().is_none());
        crate::rig::eventually("a filtered watcher moves on", || {
            let nothing = nobody.ready().is_none();
            let at = nobody.position();
            async move { (nothing && at >= deleted.2).then_some(()) }
        })
        .await;
    }
}

#[tokio::test]
async fn a_thousand_watchers_are_told_everything() {
    let database = TestDatabase::sqlite().await.expect("a database");
    let nats = streams::testing::nats().await;
    let engine = start(&database, &nats, &engine::clock::Clock::default()).await;
    let watchers = join_all((0..1000).map(|_| engine.feed().watch(Filter::default(), None))).await;
    let gauge = "streamspace_feed_watchers 1000";
    assert!(engine.metrics().lines().any(|line| line == gauge));
    let reading: Vec<_> = watchers
        .into_iter()
        .map(|watcher| tokio::spawn(async move { items(&mut watcher.expect("watches"), 100).await }))
        .collect();
    for n in 0..100 {
        log(&database.database.writer, &format!("test:{n}"), 1).await;
    }
    let expected: Vec<_> = (0..100).map(|n| (format!("test:{n}"), 1)).collect();
    for told in join_all(reading).await {
        assert_eq!(told.expect("read"), expected);
    }
    assert!(engine.metrics().lines().any(|line| line == "streamspace_feed_watchers 0"));
    engine.stop().await;
}

#[tokio::test]
async fn an_application_belongs_to_who_installed_it() {
    for rig in both().await {
        let (db, id) = (&rig.database.database.writer, Uuid::now_v7());
        let sql = "INSERT INTO installed_applications (install_id, catalog_template_id, template_name, display_name, manifest,
            installed_by, platform, created_ms, updated_ms) VALUES ($1, 1, 'a', 'A', '', 'eve', 'docker', 0, 0)";
        db.execute_raw(Statement::from_sql_and_values(db.get_database_backend(), sql, [id.into()])).await.unwrap();
        let eve = Filter { user_id: Some("eve".into()), platform: Some("docker".into()), ..Filter::default() };
        log(db, "test:nobody", 1).await;
        log(db, &format!("application:{id}"), 1).await;
        let watcher = rig.engine.feed().watch(eve, Some(After::Position(Position::START))).await;
        assert_eq!(item(&mut watcher.expect("watches")).await.0, format!("application:{id}"));
    }
}

#[tokio::test]
async fn what_a_controller_owes_of_a_session_is_told_to_who_watches_its_user_or_its_platform() {
    for rig in both().await {
        let mut controller = rig.controller().await;
        let filter = Filter {
            entity: Some("debt".into()),
            user_id: Some("ann".into()),
            platform: Some(PLATFORM.into()),
            ..Filter::default()
        };
        let mut live = rig.engine.feed().watch(filter, None).await.expect("watches");
        rig.running(&mut controller).await;
        rig.engine.revoke(OWNER, "the host is gone".into(), "ann".into()).await.expect("revoked");
        let (entity, seq, _) = item(&mut live).await;
        assert!(entity.starts_with("debt:") && seq == 1, "{entity} {seq}");
        rig.engine.stop().await;
    }
}
