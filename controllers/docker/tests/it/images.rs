//! How images come to the host: a registry that is a few answers over HTTP, which an engine on loopback speaks to without TLS.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use controllers::{
    Driver,
    driver::{Goal, Spec, Stage},
};
use uuid::Uuid;

use crate::peer::{Peer, desired, run, server};

fn of_image(image: &str, pull: &str) -> Spec {
    let mut spec = server();
    let template = spec.template.as_mut().unwrap();
    template.spec.base_image = Some(image.into());
    template.spec.extra["docker"]["pull"] = pull.into();
    spec
}

/// A registry that never has anything, and counts who asks for a manifest.
async fn empty_registry() -> (String, Arc<AtomicUsize>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, asked) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
    let counter = asked.clone();
    tokio::spawn(async move {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        while let Ok((mut stream, _)) = listener.accept().await {
            let counter = counter.clone();
            tokio::spawn(async move {
                let mut buffer = [0; 4096];
                while let Ok(read @ 1..) = stream.read(&mut buffer).await {
                    let head = String::from_utf8_lossy(&buffer[..read]).into_owned();
                    let answer = if head.contains("/manifests/") {
                        if head.starts_with("GET") || head.starts_with("HEAD") {
                            counter.fetch_add(1, Ordering::SeqCst);
                        }
                        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
                        let body = r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}"#;
                        format!(
                            "HTTP/1.1 404 Not Found\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
                            body.len()
                        )
                    } else {
                        "HTTP/1.1 200 OK\r\nDocker-Distribution-Api-Version: registry/2.0\r\nContent-Length: 2\r\n\r\n{}".to_owned()
                    };
                    if stream.write_all(answer.as_bytes()).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    (address.to_string(), asked)
}

#[tokio::test]
async fn the_policy_decides_whether_a_registry_is_asked_and_one_pull_serves_all_who_wait() {
    let Some(peer) = Peer::new().await else { return };
    let (driver, (registry, asked)) = (peer.open().await, empty_registry().await);
    let image = format!("{registry}/none:1");
    let failure = run(&driver, Uuid::new_v4(), of_image(&image, "never")).await.unwrap_err();
    assert_eq!((failure.code.as_str(), failure.user_error, asked.load(Ordering::SeqCst)), ("image_missing", true, 0));

    let failure = run(&driver, Uuid::new_v4(), of_image(&image, "missing")).await.unwrap_err();
    assert_eq!((failure.code.as_str(), failure.user_error), ("image_not_found", true), "{failure:?}");
    let alone = asked.swap(0, Ordering::SeqCst);
    assert!(alone > 0);
    let starts = (0..4).map(|_| desired(Uuid::new_v4(), Goal::Running, 1, Some(of_image(&image, "missing"))));
    let starts = starts.collect::<Vec<_>>();
    let stage = Stage::unobserved();
    let all = futures::future::join_all(starts.iter().map(|start| driver.ensure_staged(start, &stage))).await;
    assert!(all.iter().all(|one| one.as_ref().is_err_and(|failure| failure.code == "image_not_found")), "{all:?}");
    assert_eq!(asked.load(Ordering::SeqCst), alone, "four sessions, one pull");

    run(&driver, Uuid::new_v4(), of_image(crate::peer::IMAGE, "missing")).await.unwrap();
    assert_eq!(asked.load(Ordering::SeqCst), alone, "what is here is not fetched");
    peer.clean().await;
}

#[tokio::test]
async fn a_wake_runs_what_was_created_though_its_tag_moved_and_its_container_is_gone() {
    let Some(peer) = Peer::new().await else { return };
    let (driver, id) = (peer.open().await, Uuid::new_v4());
    let tag = format!("moves-{}", &id.simple().to_string()[..8]);
    let name = format!("streamspace-test:{tag}");
    let options = |tag: &str| {
        bollard::query_parameters::TagImageOptionsBuilder::default().repo("streamspace-test").tag(tag).build()
    };
    peer.api.tag_image(crate::peer::IMAGE, Some(options(&tag))).await.unwrap();
    run(&driver, id, of_image(&name, "never")).await.unwrap();
    let before = peer.inspect(id).await.image.unwrap();
    driver.ensure(&desired(id, Goal::Hibernated, 2, None)).await.unwrap();
    let force = bollard::query_parameters::RemoveContainerOptionsBuilder::default().force(true).build();
    peer.api.remove_container(&peer.name(id), Some(force)).await.unwrap();
    let remove = bollard::query_parameters::RemoveImageOptionsBuilder::default().noprune(true).build();
    peer.api.remove_image(&name, Some(remove), None).await.unwrap();
    driver.ensure(&desired(id, Goal::Running, 3, Some(of_image(&name, "never")))).await.unwrap();
    assert_eq!(peer.inspect(id).await.image.unwrap(), before);
    peer.clean().await;
}
