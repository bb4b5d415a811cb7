//! A few rounds of chaos, the same each time. A longer run, of another seed each time, is `make chaos ROUNDS=200`.

use bench::chaos::{Settings, run};

use crate::crash::binary;

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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rounds_lose_and_double_nothing() {
    good(1, 4).await;
}
