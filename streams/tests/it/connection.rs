//! A failed connection reports the reason, and a lost one comes back.

use std::time::Duration;

use streams::connect::{self, Config, Error, Secret, backoff};
use streams::testing::nats;
use streams::version::Version;
use tokio_util::sync::CancellationToken;

use crate::eventually;

#[tokio::test]
async fn each_failure_has_its_own_error() {
    let nats = nats().await;
    let wrong = Config { password: Some(Secret::new("wrong")), ..nats.config("test") };
    assert!(matches!(connect::connect(&wrong).await, Err(Error::Credentials { .. })));
    assert!(matches!(
        connect::connect(&Config::new("nats://127.0.0.1:1", "test")).await,
        Err(Error::Unreachable { .. })
    ));
    assert!(matches!(connect::connect(&Config::new("nats://:::", "test")).await, Err(Error::Url { .. })));
}

#[tokio::test]
async fn the_state_follows_the_connection() {
    let mut nats = nats().await;
    let link = nats.link().await.unwrap();
    assert!(link.is_connected());
    assert_eq!(link.state.borrow().connects, 1);
    nats.down().await.unwrap();
    eventually("the loss is noticed", async || !link.is_connected()).await;
    nats.up().await.unwrap();
    eventually("the connection is back", async || link.is_connected()).await;
    assert_eq!(link.state.borrow().connects, 2);
}

#[tokio::test]
async fn patience_waits_for_the_server_but_not_for_a_wrong_password() {
    let mut nats = nats().await;
    let wrong = Config { password: Some(Secret::new("wrong")), ..nats.config("test") };
    let never = CancellationToken::new();
    assert!(matches!(connect::connect_patiently(&wrong, &never).await, Err(Error::Credentials { .. })));
    nats.down().await.unwrap();
    let config = nats.config("test");
    let waiting = tokio::spawn(async move { connect::connect_patiently(&config, &CancellationToken::new()).await });
    nats.up().await.unwrap();
    assert!(waiting.await.unwrap().unwrap().is_connected());
}

#[tokio::test]
async fn patience_ends_with_the_last_reason() {
    let cancel = CancellationToken::new();
    cancel.cancel();
    let error = connect::connect_patiently(&Config::new("nats://127.0.0.1:1", "test"), &cancel).await.unwrap_err();
    assert!(matches!(error, Error::Cancelled { .. }));
}

#[test]
fn a_password_is_never_shown() {
    let config = Config { password: Some(Secret::new("hunter2")), ..Config::new("nats://localhost", "test") };
    assert!(!format!("{config:?}").contains("hunter2"));
}

#[test]
fn back_off_grows_to_two_seconds_and_no_further() {
    assert!((0..1000).all(|attempt| backoff(attempt) <= Duration::from_secs(2)));
    assert!(backoff(100) >= Duration::from_secs(1));
    assert!(backoff(0) <= Duration::from_millis(50));
}

#[test]
fn versions_are_compared_as_numbers() {
    let parse = |text| Version::parse(text).unwrap();
    assert!(parse("nats-server: v2.15.1") > parse("2.9.10"));
    assert_eq!(parse("2.12.0-RC.1"), Version { major: 2, minor: 12, patch: 0 });
    assert_eq!(Version::parse("devel"), None);
}
