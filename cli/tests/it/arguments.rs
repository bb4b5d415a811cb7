//! Parsing of the command line, and the one line and exit code that answer a mistake.

use std::fs::File;
use std::net::TcpListener;

use anyhow::ensure;
use tempfile::tempdir;

use crate::program::{program, run, said};

#[test]
fn an_unknown_flag_is_wrong_usage() -> anyhow::Result<()> {
    let folder = tempdir()?;
    let answer = run(folder.path(), &["session", "list", "--colour"])?;
    ensure!(answer.code == Some(2) && answer.err.contains("--colour"), "{answer:?}");
    Ok(())
}

#[test]
fn without_a_server_the_way_to_one_is_named() -> anyhow::Result<()> {
    let folder = tempdir()?;
    run(folder.path(), &["session", "list"])?
        .refuses(2, &["endpoints.json", "; try: ", "streamspace dev", "--server"])?;
    run(folder.path(), &["session", "list", "--server", "http://127.0.0.1:9"])?.refuses(2, &["--token"])
}

#[test]
fn a_server_that_does_not_answer_is_unavailable() -> anyhow::Result<()> {
    let folder = tempdir()?;
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let server = format!("http://127.0.0.1:{port}");
    let answer = run(folder.path(), &["session", "list", "--server", &server, "--token", "none"])?;
    answer.refuses(5, &["cannot reach", &server, "; try: "])
}

#[test]
fn a_server_that_is_no_url_is_wrong_usage() -> anyhow::Result<()> {
    let folder = tempdir()?;
    run(folder.path(), &["dlq", "list", "--server", "localhost", "--token", "t"])?.refuses(2, &["\"localhost\""])
}

#[test]
fn serve_names_every_missing_setting_at_once_and_has_no_default_token() -> anyhow::Result<()> {
    let folder = tempdir()?;
    run(folder.path(), &["serve"])?
        .refuses(2, &["DATABASE_URL", "NATS_URL", "STREAMSPACE_ADMIN_TOKEN", "--admin-token-file"])?;
    let mut weak = program(folder.path(), &["serve", "--http-addr", "here"]);
    weak.env("STREAMSPACE_ADMIN_TOKEN", "secret")
        .env("NATS_URL", "nats://localhost:1")
        .env("NATS_TLS_ENABLED", "perhaps");
    let parts = ["--http-addr: \"here\"", "at least 16 characters", "NATS_TLS_ENABLED: \"perhaps\"", "DATABASE_URL"];
    said(weak.output()?)?.refuses(2, &parts)
}

#[test]
fn a_controller_names_what_it_lacks_and_what_it_can_drive() -> anyhow::Result<()> {
    let folder = tempdir()?;
    run(folder.path(), &["controller"])?
        .refuses(2, &["CONTROLLER_ID", "CONTROLLER_PLATFORM (or --platform)", "NATS_URL"])?;
    let mut foreign = program(folder.path(), &["controller", "--platform", "moon", "--nats-url", "nats://localhost:1"]);
    foreign.env("CONTROLLER_ID", "not an id");
    said(foreign.output()?)?.refuses(2, &["moon", "docker, local and noop", "CONTROLLER_ID: "])
}

#[test]
fn dev_refuses_a_folder_that_another_dev_has() -> anyhow::Result<()> {
    let folder = tempdir()?;
    std::fs::create_dir(folder.path().join("data"))?;
    let lock = File::create(folder.path().join("data/lock"))?;
    lock.lock()?;
    run(folder.path(), &["dev", "--http-addr", "127.0.0.1:0"])?.refuses(4, &["in use by another", "--data-dir"])
}

#[test]
fn dev_refuses_a_folder_that_cannot_be_one() -> anyhow::Result<()> {
    let folder = tempdir()?;
    std::fs::write(folder.path().join("file"), "")?;
    run(folder.path(), &["dev", "--data-dir", "file/data"])?.refuses(2, &["file/data", "cannot be used", "--data-dir"])
}

#[test]
fn dev_refuses_a_port_that_is_taken() -> anyhow::Result<()> {
    let folder = tempdir()?;
    let taken = TcpListener::bind("127.0.0.1:0")?;
    let address = taken.local_addr()?.to_string();
    run(folder.path(), &["dev", "--http-addr", &address])?.refuses(4, &[&address, "--http-addr"])
}

#[test]
fn dev_refuses_a_nats_server_that_is_none() -> anyhow::Result<()> {
    let folder = tempdir()?;
    let answer = run(folder.path(), &["dev", "--http-addr", "127.0.0.1:0", "--nats-server", "/bin/true"])?;
    answer.refuses(2, &["/bin/true", "nats-server"])
}

#[test]
fn templates_that_are_not_there_are_wrong_usage() -> anyhow::Result<()> {
    let folder = tempdir()?;
    std::fs::create_dir(folder.path().join("empty"))?;
    let server = ["--server", "http://127.0.0.1:9", "--token", "t"];
    let apply = |path: &'static str| [&["template", "apply", path], &server[..]].concat();
    run(folder.path(), &apply("missing.yaml"))?.refuses(2, &["missing.yaml"])?;
    run(folder.path(), &apply("empty"))?.refuses(2, &["empty", "no .yaml"])
}

#[test]
fn the_schema_goes_up_and_down_and_down_only_when_it_is_meant() -> anyhow::Result<()> {
    let folder = tempdir()?;
    let url = format!("sqlite://{}?mode=rwc", folder.path().join("db").display());
    let migrate = |arguments: &[&str]| run(folder.path(), &[&["migrate", "--database-url", &url], arguments].concat());
    let status = migrate(&["status"])?.done()?.out;
    ensure!(status.lines().all(|line| line.starts_with("missing")), "{status}");
    migrate(&["up"])?.done()?;
    let status = migrate(&["status"])?.done()?.out;
    ensure!(!status.is_empty() && status.lines().all(|line| line.starts_with("applied")), "{status}");
    migrate(&["down"])?.refuses(2, &["--yes"])?;
    let undone = migrate(&["down", "--steps", "2", "--yes"])?.done()?.out;
    ensure!(undone.lines().count() == 2, "{undone}");
    Ok(())
}
