//! The private server is started when it says so, stopped on request, and never blocks the next one.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use streams::connect::Secret;
use streams::server::{Error, Server, ServerOptions, find};
use streams::testing::nats;

async fn options(folder: &Path) -> ServerOptions {
    ServerOptions {
        binary: find(None).await.unwrap().path,
        store_dir: folder.join("store"),
        port: 0,
        user: "quote\"d".into(),
        password: Secret::new("$2a$ \\ \"odd"),
        role: None,
        users: Vec::new(),
        sync_interval: Some("always".into()),
        log_file: Some(folder.join("log")),
    }
}

#[tokio::test]
async fn a_started_server_serves_and_stops_when_told() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start(options(folder.path()).await).await.unwrap();
    streams::connect::connect(&server.client("test")).await.unwrap();
    let config = std::fs::metadata(folder.path().join("store/nats-server.conf")).unwrap();
    assert_eq!(config.permissions().mode() & 0o777, 0o600, "it holds a password");
    server.stop().await.unwrap();
    assert!(streams::connect::connect(&server.client("test")).await.is_err());
}

#[tokio::test]
async fn a_password_and_a_folder_may_be_any_text() {
    for text in ["12345", "$x", "a b", "\"\\'#{}\u{1}\u{8}\n\té", "true", "5Mi", "$2a"] {
        let folder = tempfile::tempdir().unwrap();
        let store_dir = folder.path().join(text.replace(|c: char| c.is_control(), "-"));
        let (user, password) = (text.to_owned(), Secret::new(text));
        let options = ServerOptions { store_dir, user, password, ..options(folder.path()).await };
        let mut server = Server::start(options).await.unwrap_or_else(|error| panic!("{text:?}: {error}"));
        let other = streams::connect::Config { password: Some(Secret::new("another")), ..server.client("test") };
        assert!(streams::connect::connect(&other).await.is_err(), "{text:?}: any password will do");
        server.kill().await.unwrap();
    }
}

#[tokio::test]
async fn a_taken_port_is_named() {
    let nats = nats().await;
    let port = nats.config("x").url.rsplit(':').next().unwrap().parse().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let error = Server::start(ServerOptions { port, ..options(folder.path()).await }).await.unwrap_err();
    assert!(matches!(error, Error::PortTaken { port: named, .. } if named == port), "{error}");
}

#[tokio::test]
async fn what_an_earlier_run_left_behind_is_ended_first() {
    let folder = tempfile::tempdir().unwrap();
    let mut left = Server::start(options(folder.path()).await).await.unwrap();
    let port = left.port();
    let watch = tokio::spawn(async move { left.wait().await });
    let mut next = Server::start(ServerOptions { port, ..options(folder.path()).await }).await.unwrap();
    watch.await.unwrap().unwrap();
    next.stop().await.unwrap();
}

#[tokio::test]
async fn a_server_that_dies_at_once_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let wrong = ServerOptions { sync_interval: Some("never".into()), ..options(folder.path()).await };
    let error = Server::start(wrong).await.unwrap_err();
    assert!(matches!(error, Error::Died { .. }), "{error}");
}

#[tokio::test]
async fn a_binary_that_will_not_do_is_named_with_the_way_out() {
    for path in ["/no/such/nats-server", "/bin/true"] {
        let error = find(Some(Path::new(path))).await.unwrap_err().to_string();
        assert!(error.contains(path) && error.contains("make tools") && error.contains("NATS_URL"), "{error}");
    }
}
