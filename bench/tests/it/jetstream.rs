//! Loss of JetStream, and of the database behind it, with work in flight: each test must end with the account
//! of the chaos rounds as if nothing had happened.

use std::time::Duration;

use bench::chaos::{self, Action, Figures, Plan, Step};
use tokio::sync::Semaphore;

use crate::crash::binary;

/// Limits the tests at the same time; they mostly wait.
static PLACES: Semaphore = Semaphore::const_new(4);
const MEANWHILE: Duration = Duration::from_secs(2);
/// Minimum time that NATS or the database is away.
const AWAY: Duration = Duration::from_secs(60);

async fn ends_right(seed: u64, above: Vec<Step>, below: Vec<Step>) {
    plays_well(Plan::thought_of(seed, above, below)).await;
}

async fn plays_well(plan: Plan) -> Figures {
    let _place = PLACES.acquire().await.expect("open");
    let round = chaos::round(&binary(), plan).await;
    assert!(round.wrong.is_empty(), "{}", round.wrong.join("\n"));
    assert_eq!(round.figures.dead, 0, "a session ended as a dead letter because of {:?}", round.seed);
    round.figures
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
async fn nats_loses_its_whole_store_while_the_database_is_away() {
    let away = Action::LoseDatabase(Duration::from_secs(10));
    ends_right(6, vec![(MEANWHILE, away)], vec![(MEANWHILE, Action::LoseStore)]).await;
}

/// In one test, so that the minutes pass at the same time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nats_or_the_database_is_away_or_nats_hangs_for_a_minute() {
    tokio::join!(
        ends_right(3, vec![], vec![(MEANWHILE, Action::KillNats(AWAY))]),
        ends_right(4, vec![], vec![(MEANWHILE, Action::PauseNats(AWAY))]),
        ends_right(5, vec![(MEANWHILE, Action::LoseDatabase(AWAY))], vec![]),
    );
}

/// Unread messages fill the command stream; while the database is away, unreadable ones fill the dead-letter
/// stream first and then the report stream.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_stream_is_filled_to_its_limit() {
    let long = Duration::from_secs(10);
    let above = vec![(MEANWHILE + long, Action::LoseDatabase(long))];
    let below = vec![(MEANWHILE, Action::Crowd(long)), (MEANWHILE, Action::Poison(40))];
    let few = |stream: &'static str| (stream, "16".to_owned());
    let settings = vec![
        few("STREAMSPACE_COMMANDS_MAX_MESSAGES"),
        few("STREAMSPACE_REPORTS_MAX_MESSAGES"),
        few("STREAMSPACE_DEAD_LETTERS_MAX_MESSAGES"),
    ];
    plays_well(Plan { settings, ..Plan::thought_of(7, above, below) }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nats_is_restored_to_an_older_state() {
    let restored = vec![(MEANWHILE, Action::BackUpStore), (3 * MEANWHILE, Action::RestoreStore)];
    let after = vec![(MEANWHILE, Action::KillNats(Duration::ZERO))]; // and work goes on
    plays_well(Plan::thought_of(8, vec![], [restored, after].concat())).await;
}

/// Without a small file system (`STREAMSPACE_TEST_WITHOUT=small-disk`) no disk is filled, and only the load remains.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_disk_of_nats_is_full_twice() {
    let full = (MEANWHILE, Action::FillDisk(MEANWHILE));
    ends_right(9, vec![], vec![full, full]).await;
}

/// Servers and NATS are restarted too, so that nothing in their memory identifies controllers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_on_the_bus_move_nothing() {
    let above = vec![(2 * MEANWHILE, Action::RollServers)];
    let below = vec![(4 * MEANWHILE, Action::KillNats(Duration::ZERO))];
    let beside = vec![(MEANWHILE / 4, Action::Strangers(5 * MEANWHILE))];
    let round = plays_well(Plan { beside, ..Plan::thought_of(10, above, below) }).await;
    assert!(round.foreign >= 10, "strangers caused only {} dead letters, so nothing was proved", round.foreign);
}
