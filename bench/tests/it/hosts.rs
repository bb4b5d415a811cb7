//! Two hosts with the same controller id, on two servers: the first stays in charge, and the second touches nothing.

use std::time::Duration;

use bench::load::{self, Goal};
use bench::stack::{Backend, Stack};
use sea_orm::{ConnectionTrait, Statement};
use tokio::time::{Instant, sleep};

use crate::crash::binary;

const SESSIONS: usize = 5;
/// Both hosts have this id.
const ID: &str = "host-1";

/// Number of running sessions, and the sum of their generations.
async fn running(stack: &Stack) -> (i64, i64) {
    let sql = "SELECT count(*) AS n, CAST(coalesce(sum(generation), 0) AS bigint) AS generations FROM sessions WHERE status = 'running'";
    let row = stack.database.reader.query_one_raw(Statement::from_string(stack.database.backend, sql)).await;
    let row = row.expect("readable").expect("a row");
    (row.try_get("", "n").expect("a count"), row.try_get("", "generations").expect("a sum"))
}

async fn until(stack: &Stack, what: &str, is_so: impl AsyncFn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !is_so().await {
        assert!(Instant::now() < deadline, "{what}: not within a minute\n{}", stack.logs());
        sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_with_anothers_id_is_refused_and_works_only_once_the_other_is_gone() {
    let stack = Stack::start(&binary(), Backend::Postgres, &[]).await.expect("started");
    let (_, _beside) = stack.serve_beside().expect("started");
    let mut first = stack.controller(ID, "noop", &[]).expect("started");
    stack.ready(1).await.expect("ready");
    load::run(&stack, Goal::Running, SESSIONS, 1).await.expect("they run");
    let all = (SESSIONS as i64, SESSIONS as i64);
    assert_eq!(running(&stack).await, all);

    let mut second = stack.host("another", ID, "noop", &[]).expect("started");
    let log = stack.folder.path().join("another.log");
    let said = || std::fs::read_to_string(&log).unwrap_or_default();
    until(&stack, "it is refused, again and again", async || said().matches("two hosts claim").count() > 4).await;
    assert_eq!(running(&stack).await, all, "nothing was started again");
    assert!(second.ended().expect("told").is_none(), "it waits");

    first.kill().await.expect("killed");
    until(&stack, "the sessions run on the other host", async || {
        let (count, generations) = running(&stack).await;
        count == all.0 && generations > all.1
    })
    .await;
}
