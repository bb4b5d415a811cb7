//! One container from its making to its end.

use std::time::Duration;

use controllers::{
    Driver,
    driver::{Desired, Goal},
};
use streams::wire::SessionState;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use uuid::Uuid;

use crate::peer::{IMAGE, Peer, SERVE, desired, run, seen, server, template};

async fn get(url: &str) -> String {
    let address = url.trim_start_matches("http://").trim_end_matches('/');
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET /index.html HTTP/1.0\r\n\r\n").await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    text
}

#[tokio::test]
async fn a_session_is_a_labelled_container_with_its_limits_and_a_url_that_answers() {
    let Some(peer) = Peer::new().await else { return };
    let (driver, id) = (peer.open().await, Uuid::new_v4());
    let session =
        run(&driver, id, template(SERVE, r#"{"pids": 100, "shmSize": "16Mi", "capDrop": ["CHOWN"]}"#)).await.unwrap();
    assert_eq!((session.state, session.resource_name.as_deref()), (SessionState::Running, Some(&*peer.name(id))));
    assert!(get(session.url.as_deref().unwrap()).await.ends_with("hello\n"));
    let container = peer.inspect(id).await;
    let config = container.config.unwrap();
    let labels = config.labels.unwrap();
    let label = |name: &str| labels.get(&format!("space.stream.{name}")).map(String::as_str);
    assert_eq!((label("installation"), label("controller")), (Some(&*peer.installation), Some("docker-1")));
    assert_eq!((label("session"), label("user")), (Some(&*id.to_string()), Some(&*format!("user-{id}"))));
    assert_eq!((label("template"), label("generation")), (Some("test"), Some("1")));
    let env = config.env.unwrap();
    assert!(env.contains(&"GREETING=hello".into()) && env.contains(&"HOME=/filled".into()), "{env:?}");
    let host = container.host_config.unwrap();
    assert_eq!((host.memory, host.memory_swap, host.nano_cpus), (Some(64 << 20), Some(64 << 20), Some(500_000_000)));
    assert_eq!(
        (host.pids_limit, host.shm_size, host.cap_drop),
        (Some(100), Some(16 << 20), Some(vec!["CHOWN".into()]))
    );
    assert_eq!(host.security_opt, Some(vec!["no-new-privileges:true".into()]));
    assert_eq!(host.restart_policy.unwrap().name.unwrap().to_string(), "no");
    assert_eq!(host.port_bindings.unwrap()["8080/tcp"].as_ref().unwrap()[0].host_ip.as_deref(), Some("127.0.0.1"));
    let note = peer.exec(id, "cat /filled/note").await;
    assert_eq!(note, "from the image\n", "a new home is filled from the image");
    peer.clean().await;
}

#[tokio::test]
async fn all_that_was_written_is_there_after_a_sleep_and_the_port_is_read_again() {
    let Some(peer) = Peer::new().await else { return };
    let (driver, id) = (peer.open().await, Uuid::new_v4());
    run(&driver, id, server()).await.unwrap();
    peer.exec(id, "for at in /filled /cache /root; do echo kept > $at/file; done").await;
    let asleep = driver.ensure(&desired(id, Goal::Hibernated, 2, None)).await.unwrap();
    assert_eq!((asleep.state, asleep.url), (SessionState::Hibernated, None));
    let awake = driver.ensure(&desired(id, Goal::Running, 3, Some(server()))).await.unwrap();
    assert!(get(awake.url.as_deref().unwrap()).await.ends_with("hello\n"));
    assert_eq!(peer.exec(id, "cat /filled/file /cache/file /root/file").await, "kept\nkept\nkept\n");
    let paused = Desired {
        user_id: "another".into(),
        ..desired(Uuid::new_v4(), Goal::Running, 1, Some(template(SERVE, r#"{"hibernate": "pause"}"#)))
    };
    driver.ensure(&paused).await.unwrap();
    let stop = Desired { goal: Goal::Hibernated, generation: 2, spec: None, ..paused.clone() };
    assert_eq!(driver.ensure(&stop).await.unwrap().state, SessionState::Hibernated);
    assert_eq!(peer.inspect(paused.session_id).await.state.unwrap().paused, Some(true));
    let wake = Desired { generation: 3, ..paused };
    assert_eq!(driver.ensure(&wake).await.unwrap().state, SessionState::Running);
    peer.clean().await;
}

#[tokio::test]
async fn a_delete_removes_container_and_scratch_and_never_the_home() {
    let Some(peer) = Peer::new().await else { return };
    let (driver, id) = (peer.open().await, Uuid::new_v4());
    run(&driver, id, server()).await.unwrap();
    let home = driver.homes(Some(&format!("user-{id}"))).await.unwrap().remove(0);
    assert_eq!(home.sessions, [id]);
    assert_eq!(driver.delete_home(&home.name).await.unwrap_err().code, "home_in_use");
    driver.ensure(&desired(id, Goal::Deleted, 2, None)).await.unwrap();
    assert_eq!(peer.traces(Some(id)).await, Vec::<String>::new());
    assert!(peer.traces(None).await.contains(&home.name));
    driver.delete_home(&home.name).await.unwrap();
    assert!(!peer.traces(None).await.contains(&home.name));
    assert_eq!(driver.delete_home(&format!("{}.inventory", peer.installation)).await.unwrap_err().code, "not_found");
    peer.clean().await;
}

#[tokio::test]
async fn running_means_that_the_check_passes_and_a_start_that_never_gets_there_says_why() {
    let Some(peer) = Peer::new().await else { return };
    let (driver, id, tcp) = (peer.open().await, Uuid::new_v4(), Uuid::new_v4());
    let wait = "trap 'exit 0' TERM; echo waits for nothing; sleep 600 & wait";
    let never = template(wait, r#"{"readiness": {"timeout": "1s"}}"#);
    let failure = run(&driver, id, never).await.unwrap_err();
    assert!(failure.code == "not_ready" && failure.message.contains("waits for nothing"), "{failure:?}");
    assert_eq!(driver.observe(id).await.unwrap().unwrap().state, SessionState::Failed);
    let ends = run(&driver, tcp, template("echo no display >&2; exit 3", "{}")).await.unwrap_err();
    assert!(ends.user_error && ends.message.contains("exit code 3") && ends.message.contains("no display"), "{ends:?}");
    let log = driver.log(tcp, 1000).await.unwrap();
    assert_eq!(log.text, "no display\n");
    let missing = template(SERVE, r#"{"command": ["/no/such/program"]}"#);
    let failure = run(&driver, Uuid::new_v4(), missing).await.unwrap_err();
    assert_eq!((failure.code.as_str(), failure.user_error), ("program_not_found", true), "{failure:?}");
    peer.clean().await;
}

#[tokio::test]
async fn a_container_that_fails_its_liveness_checks_is_stopped_and_reported() {
    let Some(peer) = Peer::new().await else { return };
    let (driver, id) = (peer.open().await, Uuid::new_v4());
    let liveness = r#"{"liveness": {"path": "/", "interval": "1s", "timeout": "1s", "failures": 1}}"#;
    run(&driver, id, template(SERVE, liveness)).await.unwrap();
    peer.exec(id, "kill -STOP $(pidof httpd)").await;
    let failed = seen(&driver, id, "failed", |observed| observed.state == SessionState::Failed).await;
    assert!(failed.failure.unwrap().message.contains("failed 1 liveness checks"));
    assert_eq!(peer.inspect(id).await.state.unwrap().running, Some(false));
    peer.clean().await;
}

#[tokio::test]
async fn usage_and_open_connections_are_told() {
    let Some(peer) = Peer::new().await else { return };
    let config = driver_docker::Config { usage_interval: Duration::from_millis(200), ..peer.config() };
    let (driver, id) = (driver_docker::Docker::open(config).await.unwrap(), Uuid::new_v4());
    let busy = "trap 'exit 0' TERM; httpd -f -p 8080 -h /www & while :; do :; done & wait";
    let url = run(&driver, id, template(busy, "{}")).await.unwrap().url.unwrap();
    let cpu = |observed: &controllers::driver::Observed| {
        let cpu = observed.resource_usage.as_ref().and_then(|usage| usage.cpu.clone());
        cpu.is_some_and(|cpu| streams::quantity::millicores(&cpu).is_ok_and(|cpu| cpu > 50))
    };
    seen(&driver, id, "busy", cpu).await;
    let address = url.trim_start_matches("http://").trim_end_matches('/').to_owned();
    let tab = TcpStream::connect(&address).await.unwrap();
    let connections = |n: u32| move |observed: &controllers::driver::Observed| observed.connections == Some(n);
    if std::fs::metadata("/proc/1/ns/net").is_ok_and(|_| std::fs::read_link("/proc/1/ns/net").is_ok()) {
        seen(&driver, id, "used", connections(1)).await;
        drop(tab);
        seen(&driver, id, "left", connections(0)).await;
    }
    assert!(
        peer.inspect(id).await.config.unwrap().image.is_some_and(|image| image != IMAGE),
        "it is made from an id, not a tag"
    );
    peer.clean().await;
}
