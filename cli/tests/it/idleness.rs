//! A `local` session with a connected browser stays awake; without one it does not. The clock is moved by hand.

use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use controllers::runtime;
use driver_local::{self as local, Local};
use engine::clock::Clock;
use engine::store::session;
use engine::writer::Ask;
use engine::{CreateSession, Engine};
use migrations::testing::TestDatabase;
use streams::ids::{ControllerId, Platform};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

async fn until(engine: &Engine, id: Uuid, what: &str, so: impl Fn(&session::Model) -> bool) -> Result<session::Model> {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let row = engine::queries::session(engine.reader(), id).await?.context("a session")?;
        if so(&row) {
            return Ok(row);
        }
        ensure!(Instant::now() < deadline, "never {what}: {row:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn running(engine: &Engine) -> Result<session::Model> {
    let (template_id, user_id) = ("scratchpad".into(), "ann".into());
    let idle_timeout = Some("10m".into());
    let request = CreateSession { template_id, user_id, idle_timeout, ..CreateSession::default() };
    let id = engine.create_session(request).await?.session_id;
    until(engine, id, "running", |row| row.status == "running").await
}

fn sleeps_at(row: &session::Model) -> Option<i64> {
    machine::session::awake(&row.facts().ok()?)?.sleeps_at_ms
}

#[tokio::test]
async fn an_open_connection_keeps_a_local_session_awake() -> Result<()> {
    let (database, nats, clock) = (TestDatabase::sqlite().await?, streams::testing::nats().await, Clock::default());
    let engine = Engine::start(engine::Config {
        database: database.database.clone(),
        link: nats.link().await?,
        streams: streams::topology::Settings::default(),
        default_platform: "local".into(),
        clock: clock.clone(),
        outbox_limit: engine::OUTBOX_LIMIT,
        retention: None,
        admission: machine::admission::Policy::Open,
    })
    .await?;
    let (folder, cancel) = (tempfile::tempdir()?, CancellationToken::new());
    let driver = Arc::new(Local::open(local::Config {
        executable: env!("CARGO_BIN_EXE_streamspace").into(),
        connections_interval: Duration::from_millis(100),
        ..local::Config::new(folder.path())
    })?);
    let (id, platform) = (ControllerId::try_new("local-1")?, Platform::try_new("local")?);
    let config = runtime::Config::new(id, platform, nats.config("controller"));
    let controller = tokio::spawn(runtime::run(config, driver, cancel.clone()));

    let (watched, alone) = (running(&engine).await?, running(&engine).await?);
    let address = watched.url.as_deref().context("a url")?.trim_start_matches("http://").trim_end_matches('/');
    let tab = TcpStream::connect(address)?;
    until(&engine, watched.session_id, "seen as connected", |row| sleeps_at(row).is_none()).await?;
    clock.advance(Duration::from_secs(601));
    until(&engine, alone.session_id, "asleep", |row| row.status == "hibernated").await?;
    let row = until(&engine, watched.session_id, "awake", |row| row.status == "running").await?;
    ensure!(row.connections == Some(1), "{row:?}");
    drop(tab);
    until(&engine, watched.session_id, "seen as left", |row| sleeps_at(row).is_some()).await?;
    clock.advance(Duration::from_secs(601));
    until(&engine, watched.session_id, "asleep", |row| row.status == "hibernated").await?;

    for id in [watched.session_id, alone.session_id] {
        engine.ask(id, Ask::Delete { force: true }).await?;
        until(&engine, id, "deleted", |row| row.status == "deleted").await?;
    }
    cancel.cancel();
    controller.await??;
    engine.stop().await;
    Ok(())
}
