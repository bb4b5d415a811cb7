//! Loss of the courier, and of what stands behind it, with work in flight: each story must end by the account of the chaos
//! rounds, as if nothing had happened.

use std::time::Duration;

use bench::chaos::{Action, Plan, Step, round};
use tokio::sync::Semaphore;

use crate::crash::binary;

/// Stories that run beside each other: they mostly wait.
static PLACES: Semaphore = Semaphore::const_new(2);
const MEANWHILE: Duration = Duration::from_secs(2);

async fn ends_right(seed: u64, above: Vec<Step>, below: Vec<Step>) {
    let _place = PLACES.acquire().await.expect("open");
    let told = round(&binary(), Plan::thought_of(seed, above, below)).await;
    assert!(told.wrong.is_empty(), "{}", told.wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nats_is_killed_and_started_again() {
    ends_right(
        1,
        vec![],
        vec![(MEANWHILE, Action::KillNats(Duration::ZERO)), (MEANWHILE, Action::KillNats(MEANWHILE))],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nats_loses_its_whole_store_twice() {
    ends_right(2, vec![], vec![(MEANWHILE, Action::LoseStore), (MEANWHILE, Action::LoseStore)]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nats_is_away_for_twenty_seconds() {
    ends_right(3, vec![], vec![(MEANWHILE, Action::KillNats(Duration::from_secs(20)))]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_database_is_away_for_ten_seconds() {
    ends_right(5, vec![(MEANWHILE, Action::LoseDatabase(Duration::from_secs(10)))], vec![]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nats_hangs_for_twenty_seconds() {
    ends_right(4, vec![], vec![(MEANWHILE, Action::PauseNats(Duration::from_secs(20)))]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nats_loses_its_whole_store_while_the_database_is_away() {
    let away = Action::LoseDatabase(Duration::from_secs(10));
    ends_right(6, vec![(MEANWHILE, away)], vec![(MEANWHILE, Action::LoseStore)]).await;
}
