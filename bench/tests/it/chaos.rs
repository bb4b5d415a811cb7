//! A few chaos rounds with fixed seeds. A longer run with random seeds is `make chaos ROUNDS=200`.

use bench::chaos::{Plan, Settings, run};

use crate::crash::binary;

const ROUNDS: u64 = 4;

async fn good(seed: u64, rounds: u64) {
    let settings = Settings { binary: binary(), rounds, seed, beside: 3 };
    let rounds = run(&settings, |_| {}).await.expect("they run");
    let broken: Vec<String> = rounds
        .into_iter()
        .filter(|round| !round.wrong.is_empty())
        .map(|round| format!("seed {}:\n{}", round.seed, round.wrong.join("\n")))
        .collect();
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

/// The first consecutive seeds with a full disk and with strangers among their faults.
fn kept() -> u64 {
    let has = |first: u64, trouble: fn(&Plan) -> bool| (first..first + ROUNDS).any(|seed| trouble(&Plan::draw(seed)));
    (1..1_000).find(|first| has(*first, Plan::fills_disk) && has(*first, Plan::has_strangers)).expect("such seeds")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rounds_lose_and_double_nothing() {
    good(kept(), ROUNDS).await;
}
