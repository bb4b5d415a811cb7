//! The stack of `compose/` without containers: its nats-server, started by its own script, with an engine and a
//! controller as its users.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, ensure};
use serde_json::Value;
use streams::async_nats::{self, ConnectOptions};
use tempfile::tempdir;

use crate::program::{Running, clean, program, run, said, until};

const TOKEN: &str = "a-token-for-the-stack";

fn compose() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../compose")
}

fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// The script that starts the server with the passwords of the engine and the controller.
fn script(folder: &Path, binary: &Path, engine: &str, controller: &str) -> Command {
    let mut script = clean(Command::new("sh"), folder);
    script.arg(compose().join("nats/start.sh"));
    script.env("NATS_PASSWORD", engine).env("NATS_CONTROLLER_PASSWORD", controller);
    script.env("CONTROLLER_PLATFORM", "noop").env("CONTROLLER_ID", "compose-1");
    script.env("NATS_STORE_DIR", folder.join("a store")).env("NATS_CONF", folder.join("nats.conf"));
    script.env("NATS_SERVER", binary);
    script
}

/// Starts the server and returns its address.
fn start(folder: &Path, binary: &Path, engine: &str, controller: &str) -> anyhow::Result<(Running, String)> {
    let port = free_port()?.to_string();
    let mut script = script(folder, binary, engine, controller);
    script.args(["--addr", "127.0.0.1", "--port", &port, "--http_port", &free_port()?.to_string()]);
    let server = Running(spawned(script)?);
    until("nats-server listens", || Ok(std::net::TcpStream::connect(format!("127.0.0.1:{port}")).is_ok()))?;
    Ok((server, format!("nats://127.0.0.1:{port}")))
}

fn spawned(mut command: Command) -> anyhow::Result<Child> {
    Ok(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?)
}

async fn connect(url: &str, user: &str, password: &str) -> Result<async_nats::Client, async_nats::ConnectError> {
    let inbox = if user == "engine" { "_INBOX.engine" } else { "_INBOX.controller.noop.compose-1" };
    let options = ConnectOptions::with_user_and_password(user.to_owned(), password.to_owned());
    options.custom_inbox_prefix(inbox).connect(url).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_what_it_is_whatever_the_server_would_read_into_it() -> anyhow::Result<()> {
    let binary = streams::server::find(None).await?.path;
    for password in ["12345", "$x", "a b", "\"\\'#{}é\n", "true", "5Mi", "$2a"] {
        let folder = tempdir()?;
        let (_server, url) = start(folder.path(), &binary, password, "another")?;
        connect(&url, "engine", password).await.with_context(|| format!("{password:?}"))?;
        ensure!(connect(&url, "engine", "another").await.is_err(), "{password:?}: any password will do");
        connect(&url, "controller", "another").await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_password_that_is_none_is_refused_by_its_name() -> anyhow::Result<()> {
    let (folder, binary) = (tempdir()?, streams::server::find(None).await?.path);
    for (engine, controller, words) in [
        ("", "b", "NATS_PASSWORD is empty"),
        ("a", "", "NATS_CONTROLLER_PASSWORD is empty"),
        ("same", "same", "are the same"),
        ("$2a$10$abcdefghijklmnopqrstuv", "b", "bcrypt"),
    ] {
        let answer = said(script(folder.path(), &binary, engine, controller).output()?)?;
        ensure!(answer.code == Some(1) && answer.err.contains(words), "{answer:?}");
    }
    let file = std::fs::read_to_string(compose().join("compose.yaml"))?;
    let empty = file.lines().find(|line| line.contains("PASSWORD}") || line.contains("_TOKEN}"));
    assert_eq!(empty, None, "compose would take an empty one");
    Ok(())
}

#[test]
fn no_service_of_the_stack_is_given_secrets_of_another() -> anyhow::Result<()> {
    let stack: Value = serde_saphyr::from_str(&std::fs::read_to_string(compose().join("compose.yaml"))?)?;
    let environment = |name: &str| stack["services"][name]["environment"].to_string();
    for (service, secrets) in [
        ("controller", ["DATABASE_URL", "POSTGRES_PASSWORD", "ADMIN_TOKEN", "${NATS_PASSWORD"].as_slice()),
        ("nats", &["DATABASE_URL", "POSTGRES_PASSWORD", "ADMIN_TOKEN"]),
        ("postgres", &["NATS_", "ADMIN_TOKEN"]),
        ("engine-1", &["NATS_CONTROLLER_PASSWORD"]),
    ] {
        let environment = environment(service);
        ensure!(environment.len() > 10, "{service} has no environment");
        for secret in secrets {
            ensure!(!environment.contains(secret), "{service} is given {secret}: {environment}");
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_and_a_controller_work_with_no_more_rights_than_the_stack_gives_them() -> anyhow::Result<()> {
    let (folder, binary) = (tempdir()?, streams::server::find(None).await?.path);
    let (_nats, url) = start(folder.path(), &binary, "$engine", "a controller")?;
    let address = format!("127.0.0.1:{}", free_port()?);
    let mut engine = program(folder.path(), &["serve", "--http-addr", &address, "--default-platform", "noop"]);
    let database = format!("sqlite://{}?mode=rwc", folder.path().join("db").display());
    engine.env("DATABASE_URL", database).env("STREAMSPACE_ADMIN_TOKEN", TOKEN);
    engine.env("NATS_URL", &url).env("NATS_USER", "engine").env("NATS_PASSWORD", "$engine");
    let _engine = Running(spawned(engine)?);
    let mut controller = program(folder.path(), &["controller", "--state-dir", "state"]);
    controller.env("CONTROLLER_ID", "compose-1").env("CONTROLLER_PLATFORM", "noop");
    controller.env("NATS_URL", &url).env("NATS_USER", "controller").env("NATS_PASSWORD", "a controller");
    let _controller = Running(spawned(controller)?);
    let server = format!("http://{address}");
    let ask = |arguments: &[&str]| run(folder.path(), &[arguments, &["--server", &server, "--token", TOKEN]].concat());
    until("the controller is known", || Ok(ask(&["controller", "get", "compose-1"])?.code == Some(0)))?;
    let created = ask(&["session", "create", "scratchpad", "--wait", "-o", "json"])?.done()?;
    let session: Value = serde_json::from_str(&created.out)?;
    ask(&["session", "delete", session["session_id"].as_str().context("an id")?, "--wait"])?.done()?;
    a_controller_cannot_do_more(&url, folder.path(), &ask).await
}

/// A controller can neither read the messages of others nor publish as someone else.
async fn a_controller_cannot_do_more(
    url: &str,
    folder: &Path,
    ask: &impl Fn(&[&str]) -> anyhow::Result<crate::program::Said>,
) -> anyhow::Result<()> {
    let before = ask(&["session", "list", "-q"])?.done()?.out;
    let controller = connect(url, "controller", "a controller").await?;
    let intake =
        controller.request("streamspace.intake.admin.session.create", r#"{"template_id":"scratchpad"}"#.into());
    let answer = tokio::time::timeout(std::time::Duration::from_secs(1), intake).await;
    ensure!(!matches!(answer, Ok(Ok(_))), "it could ask in a user's name");
    for subject in
        ["$JS.API.STREAM.DELETE.SS_COMMANDS", "$JS.API.STREAM.PURGE.SS_REPORTS", "streamspace.session.status"]
    {
        controller.publish(subject, "{}".into()).await?;
    }
    let mut heard = controller.subscribe("streamspace.>").await?;
    controller.flush().await?;
    let engine = connect(url, "engine", "$engine").await?;
    engine.publish("streamspace.session.create.docker.other", "not for you".into()).await?;
    engine.flush().await?;
    let first = tokio::time::timeout(std::time::Duration::from_secs(1), futures::StreamExt::next(&mut heard)).await;
    ensure!(!matches!(first, Ok(Some(_))), "it hears the commands of others");
    ensure!(ask(&["session", "list", "-q"])?.done()?.out == before, "a session was made");
    let streams = async_nats::jetstream::new(engine);
    streams.get_stream("SS_COMMANDS").await.context("the stream is gone")?;
    ensure!(
        !std::fs::read_to_string(folder.join("nats.conf"))?.contains("$engine"),
        "passwords stand in the file as they are"
    );
    Ok(())
}
