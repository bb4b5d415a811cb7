//! The loops beside the work on commands: heartbeats, changes, requests for the inventory, questions.
//!
//! Each is supervised: one that panics is restarted with back-off, counted, and logged with its cause. So that nothing is
//! lost by that, a run owns nothing that must outlive it. Subscriptions belong to the controller and are shared by all
//! runs, and what was received and is not done yet is kept there as well ([`Unlooked`], `owed`). A loop ends as soon as
//! its token fires, wherever it stands, and nothing waits for a loop whose token was not fired.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use streams::connect::Link;
use streams::tasks::{Role, Supervisor, Task};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::Controller;

/// A subscription that outlives the run of a loop that reads it.
pub(super) type Subscription = Arc<tokio::sync::Mutex<async_nats::Subscriber>>;

/// Sessions that have changed by themselves and were not looked at yet.
#[derive(Default)]
pub(super) struct Unlooked(Mutex<HashSet<Uuid>>);

impl Unlooked {
    pub(super) fn add(&self, session: Uuid) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(session);
    }

    /// Removes a session that is about to be looked at; false if another look has done so.
    pub(super) fn remove(&self, session: Uuid) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&session)
    }

    pub(super) fn all(&self) -> Vec<Uuid> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().copied().collect()
    }
}

impl Controller {
    /// Starts the heartbeat; returns a token that fires once the last one is sent.
    pub(super) fn start_beating(self: &Arc<Self>, link: &Link, cancel: &CancellationToken) -> CancellationToken {
        let (controller, link) = (self.clone(), link.clone());
        self.tasks().spawn("heartbeat", Role::Essential, cancel, move |task| {
            let (controller, link) = (controller.clone(), link.clone());
            until_cancelled(task, move |task| async move { controller.beat(&link, &task).await })
        })
    }

    /// Starts the loop that answers requests for the inventory.
    pub(super) fn start_syncs(
        self: &Arc<Self>,
        requests: Subscription,
        cancel: &CancellationToken,
    ) -> CancellationToken {
        let controller = self.clone();
        self.tasks().spawn("inventory", Role::Essential, cancel, move |task| {
            let (controller, requests) = (controller.clone(), requests.clone());
            async move { controller.answer_syncs(&requests, &task).await }
        })
    }

    /// Starts the loop that answers questions.
    pub(super) fn start_questions(
        self: &Arc<Self>,
        questions: Subscription,
        client: async_nats::Client,
        cancel: &CancellationToken,
    ) -> CancellationToken {
        let controller = self.clone();
        self.tasks().spawn("questions", Role::Supporting, cancel, move |task| {
            let (controller, questions, client) = (controller.clone(), questions.clone(), client.clone());
            async move { controller.answer_questions(&questions, &client, &task).await }
        })
    }

    /// Starts the loop that reports what changed by itself; a stop waits for looks under way.
    pub(super) fn start_changes(self: &Arc<Self>, cancel: &CancellationToken) -> CancellationToken {
        let controller = self.clone();
        self.tasks().spawn("changes", Role::Essential, cancel, move |task| {
            let controller = controller.clone();
            async move { controller.follow_changes(task).await }
        })
    }

    fn tasks(&self) -> &Supervisor {
        &self.config.tasks
    }
}

/// A run that ends at once when its token fires, wherever it stands.
async fn until_cancelled<F: Future<Output = ()>>(task: Task, run: impl FnOnce(Task) -> F) {
    let cancel = task.cancel().clone();
    cancel.run_until_cancelled(run(task)).await;
}
