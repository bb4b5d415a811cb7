//! The local driver's state folder on a full disk: nothing that was known is lost, what cannot be noted is tried again later.

use controllers::{
    Driver,
    driver::{Desired, Goal},
};
use driver_local::Config;
use streams::{
    testing::disk::SmallDisk,
    wire::{Scope, SessionState},
};
use uuid::Uuid;

use crate::world::{World, alive, desired, processes, server};

#[tokio::test]
async fn a_full_state_folder_fails_what_can_be_tried_again_and_keeps_what_is_known() {
    let Some(disk) = SmallDisk::mount(16).unwrap() else { return };
    let (kept, refused, world) = (Uuid::new_v4(), Uuid::new_v4(), World::new());
    let config = Config { executable: world.config().executable, ..Config::new(disk.path()) };
    let start = || Desired { user_id: "another".into(), ..desired(refused, Goal::Running, 1, Some(server())) };
    let driver = world.open_as(config.clone());
    driver.ensure(&desired(kept, Goal::Running, 1, Some(server()))).await.unwrap();
    disk.fill().unwrap();
    let failure = driver.ensure(&start()).await.unwrap_err();
    assert!(failure.retryable && !failure.user_error, "{failure:?}");
    assert_eq!(failure.scope, Some(Scope::Platform), "a disk is everybody's: {failure:?}");
    assert!(processes(&refused.to_string()).is_empty(), "nothing runs that nothing knows of");
    let state = disk.path().join(format!("sessions/{kept}/state.json"));
    let state: serde_json::Value = serde_json::from_slice(&std::fs::read(state).unwrap()).unwrap();
    let pid: i32 = state["process"]["pid"].as_i64().unwrap().try_into().unwrap();
    drop(driver);
    let driver = world.open_as(config);
    assert!(alive(pid) && driver.observe(kept).await.unwrap().unwrap().state == SessionState::Running);
    disk.free().unwrap();
    driver.ensure(&start()).await.unwrap();
    assert_eq!(driver.observe(refused).await.unwrap().unwrap().state, SessionState::Running);
    for id in [kept, refused] {
        driver.ensure(&desired(id, Goal::Deleted, i64::MAX, None)).await.unwrap();
        assert!(processes(&id.to_string()).is_empty());
    }
}
