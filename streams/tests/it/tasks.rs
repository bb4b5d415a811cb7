//! Background loops are restarted, and their state is visible.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use streams::tasks::{Metrics, Role, State, Status, Supervisor, Task};
use tokio_util::sync::CancellationToken;

fn one(supervisor: &Supervisor) -> Status {
    supervisor.status().remove(0)
}

#[tokio::test(start_paused = true)]
async fn a_loop_that_panics_is_started_again_with_a_growing_pause_and_its_cause_is_shown() {
    let supervisor = Supervisor::new(Metrics::default());
    let (cancel, runs) = (CancellationToken::new(), Arc::new(AtomicUsize::new(0)));
    let counted = runs.clone();
    supervisor.spawn("loop", Role::Essential, &cancel, move |task: Task| {
        let run = counted.fetch_add(1, Ordering::SeqCst);
        async move {
            assert!(run >= 3, "run {run} fails");
            task.cancel().cancelled().await;
        }
    });
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(runs.load(Ordering::SeqCst), 1);
    let status = one(&supervisor);
    assert_eq!((status.state, status.restarts), (State::Restarting, 1));
    assert_eq!(status.error.as_deref(), Some("it panicked: run 0 fails"));
    assert_eq!(supervisor.down(Role::Essential).len(), 1);
    tokio::time::sleep(Duration::from_millis(100 + 200)).await; // the second pause is twice the first
    assert_eq!(runs.load(Ordering::SeqCst), 3);
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert_eq!((one(&supervisor).state, runs.load(Ordering::SeqCst)), (State::Running, 4));
    assert!(supervisor.down(Role::Essential).is_empty());
    cancel.cancel();
    supervisor.ended().await;
    assert_eq!(one(&supervisor).state, State::Stopped);
}

#[tokio::test(start_paused = true)]
async fn a_loop_that_ends_by_itself_is_started_again_and_one_that_was_told_to_stop_is_not() {
    let supervisor = Supervisor::default();
    let (cancel, runs) = (CancellationToken::new(), Arc::new(AtomicUsize::new(0)));
    let counted = runs.clone();
    let ended = supervisor.spawn("loop", Role::Supporting, &cancel, move |_| {
        counted.fetch_add(1, Ordering::SeqCst);
        async {}
    });
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(runs.load(Ordering::SeqCst) > 2);
    assert_eq!(one(&supervisor).error.as_deref(), Some("it ended by itself"));
    cancel.cancel();
    ended.cancelled().await;
    let before = runs.load(Ordering::SeqCst);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(runs.load(Ordering::SeqCst), before);
}

#[tokio::test]
async fn a_round_records_when_it_ran_and_what_went_wrong_until_one_succeeds() {
    let supervisor = Supervisor::default();
    let cancel = CancellationToken::new();
    let (send, receive) = tokio::sync::oneshot::channel();
    let mut send = Some(send);
    supervisor.spawn("loop", Role::Supporting, &cancel, move |task| {
        let (send, stopped) = (send.take(), task.cancel().clone());
        async move {
            let failed = task.round(async { Err::<(), _>("x".repeat(600)) }).await;
            assert!(failed.is_err());
            let _ = send.expect("the first run").send(task);
            stopped.cancelled().await;
        }
    });
    let task = receive.await.expect("it runs");
    let status = one(&supervisor);
    assert_eq!(status.error.expect("an error").chars().count(), 501, "500 characters and a mark");
    assert!(status.last_run_at.is_some() && status.last_duration.is_some() && status.error_at.is_some());
    task.work(async {}).await;
    assert!(one(&supervisor).error.is_none());
    cancel.cancel();
    supervisor.ended().await;
}
