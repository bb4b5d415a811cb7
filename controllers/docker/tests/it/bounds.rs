//! A template gets nothing of the host that its operator did not allow.

use controllers::Driver as _;
use driver_docker::{Config, Docker};
use uuid::Uuid;

use crate::peer::{Peer, SERVE, run, template};

#[tokio::test]
async fn what_a_template_asks_of_the_host_is_refused_before_anything_is_made_and_given_where_it_is_allowed() {
    let Some(peer) = Peer::new().await else { return };
    let (driver, id) = (peer.open().await, Uuid::new_v4());
    let asks = r#"{"hostPaths": [{"hostPath": "/usr/share", "mountPath": "/lent", "readOnly": true}], "capAdd": ["NET_ADMIN"]}"#;
    let failure = run(&driver, id, template(SERVE, asks)).await.unwrap_err();
    assert!(failure.code == "not_allowed" && failure.user_error, "{failure:?}");
    assert!(failure.message.contains("STREAMSPACE_DOCKER_ALLOW=capability:NET_ADMIN"), "{failure:?}");
    assert_eq!(peer.traces(Some(id)).await, Vec::<String>::new());
    assert!(driver.list().await.unwrap().is_empty());

    let allow = "path:/usr,capability:NET_ADMIN".parse().unwrap();
    let driver = Docker::open(Config { allow, ..peer.config() }).await.unwrap();
    run(&driver, id, template(SERVE, asks)).await.unwrap();
    assert!(!peer.exec(id, "ls /lent").await.is_empty());
    assert!(peer.exec(id, "touch /lent/x").await.contains("Read-only"));
    peer.clean().await;
}

#[tokio::test]
async fn a_wrong_block_names_its_field() {
    let Some(peer) = Peer::new().await else { return };
    let driver = peer.open().await;
    for (block, field) in [
        (r#"{"memroy": "1Gi"}"#, "memroy"),
        (r#"{"shmSize": "much"}"#, "shmSize"),
        (r#"{"stop": {"grace": "9h"}}"#, "grace"),
    ] {
        let failure = run(&driver, Uuid::new_v4(), template(SERVE, block)).await.unwrap_err();
        assert!(failure.code == "bad_template" && failure.message.contains(field), "{failure:?}");
    }
    peer.clean().await;
}
