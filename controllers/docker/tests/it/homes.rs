//! A home is its user's alone.

use bollard::models::VolumeCreateRequest;
use controllers::{
    Driver,
    driver::{Desired, Goal},
};
use uuid::Uuid;

use crate::peer::{Peer, SERVE, desired, server, template};

fn of(user: &str, generation: i64, spec: Option<controllers::driver::Spec>) -> Desired {
    Desired { user_id: user.into(), ..desired(Uuid::new_v4(), Goal::Running, generation, spec) }
}

#[tokio::test]
async fn users_that_look_alike_have_homes_of_their_own_and_one_home_is_used_by_one_session_unless_shared() {
    let Some(peer) = Peer::new().await else { return };
    let driver = peer.open().await;
    let (first, second) = (of("a.b", 1, Some(server())), of("a-b", 1, Some(server())));
    driver.ensure(&first).await.unwrap();
    peer.exec(first.session_id, "echo secret > /filled/mine").await;
    driver.ensure(&second).await.unwrap();
    assert!(peer.exec(second.session_id, "cat /filled/mine").await.contains("No such file"));

    let failure = driver.ensure(&of("a.b", 1, Some(server()))).await.unwrap_err();
    assert!(failure.code == "home_in_use" && failure.message.contains(&first.session_id.to_string()), "{failure:?}");
    let sleep = Desired { goal: Goal::Hibernated, generation: 2, spec: None, ..first.clone() };
    driver.ensure(&sleep).await.unwrap();
    let shared = || of("a.b", 1, Some(template(SERVE, r#"{"home": {"shared": true}}"#)));
    let (one, two) = (shared(), shared());
    let (one_runs, two_runs) = tokio::join!(driver.ensure(&one), driver.ensure(&two));
    assert!(one_runs.is_ok() && two_runs.is_ok(), "{two_runs:?}");
    assert_eq!(peer.exec(one.session_id, "cat /filled/mine").await, "secret\n");
    peer.clean().await;
}

#[tokio::test]
async fn a_volume_of_somebody_else_under_the_name_of_a_home_is_never_mounted() {
    let Some(peer) = Peer::new().await else { return };
    let driver = peer.open().await;
    let first = of("ann", 1, Some(server()));
    driver.ensure(&first).await.unwrap();
    let home = driver.homes(Some("ann")).await.unwrap().remove(0);
    driver.ensure(&Desired { goal: Goal::Deleted, generation: 2, spec: None, ..first }).await.unwrap();
    driver.delete_home(&home.name).await.unwrap();
    let label = [("space.stream.installation".to_owned(), peer.installation.clone())].into();
    let theirs = VolumeCreateRequest { name: Some(home.name), labels: Some(label), ..VolumeCreateRequest::default() };
    peer.api.create_volume(theirs).await.unwrap();
    let failure = driver.ensure(&of("ann", 1, Some(server()))).await.unwrap_err();
    assert_eq!((failure.code.as_str(), failure.retryable), ("home_taken", false));
    peer.clean().await;
}
