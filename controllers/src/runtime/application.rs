//! One command for an application: take its turn, announce, tell how far it is, do, report.

use streams::wire::{AppInstall, AppState, AppUninstall, Failure};
use streams::worker::Held;
use uuid::Uuid;

use super::{Controller, handler::Interrupted, lanes::Lane, report::Stopped, steps};
use crate::driver::Progress;

/// What a report on an application answers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) install_id: Uuid,
    pub(super) template_name: &'a str,
    pub(super) event_id: Uuid,
    pub(super) generation: i64,
    pub(super) attempt: i32,
}

impl Controller {
    pub(super) async fn install(&self, app: &AppInstall, held: Held) -> Result<(), Interrupted> {
        let (install_id, event_id) = (app.install_id, app.event_id);
        let (generation, attempt, template_name) = (app.generation, app.attempt, app.template_name.as_str());
        let asked = Asked { install_id, template_name, event_id, generation, attempt };
        let step = self.steps.arrive(install_id, steps::Asked { generation, starts: true, force: false });
        let _turn = step.lock().await?;
        if self.overtaken(&asked) {
            return Ok(());
        }
        let _slot = step.unless_cut(self.lanes.enter(Lane::Starts)).await??;
        drop(held);
        self.say(&asked, AppState::Installing, None).await?;
        let (progress, mut told) = Progress::channel();
        let install = step.unless_cut(self.bounded(self.driver.install(app, &progress)));
        tokio::pin!(install);
        let done = loop {
            tokio::select! {
                biased;
                Some(message) = told.recv() => self.say(&asked, AppState::Installing, Some(message)).await?,
                done = &mut install => break done?,
            }
        };
        while let Ok(message) = told.try_recv() {
            self.say(&asked, AppState::Installing, Some(message)).await?; // what was said in its last step
        }
        Ok(self.conclude(&asked, AppState::Ready, done.map(Some)).await?)
    }

    pub(super) async fn uninstall(&self, app: &AppUninstall, held: Held) -> Result<(), Interrupted> {
        let (install_id, event_id) = (app.install_id, app.event_id);
        let (generation, attempt, template_name) = (app.generation, app.attempt, app.template_name.as_str());
        let asked = Asked { install_id, template_name, event_id, generation, attempt };
        let step = self.steps.arrive(install_id, steps::Asked { generation, starts: false, force: false });
        let _turn = step.lock().await?;
        if self.overtaken(&asked) {
            return Ok(());
        }
        let _slot = self.lanes.enter(Lane::Deletes).await?;
        drop(held);
        self.say(&asked, AppState::Uninstalling, None).await?;
        let done = self.bounded(self.driver.uninstall(template_name)).await;
        Ok(self.conclude(&asked, AppState::Uninstalled, done.map(|()| None)).await?)
    }

    /// A late command for what a newer one has dealt with: the engine has closed its book.
    fn overtaken(&self, asked: &Asked<'_>) -> bool {
        let newer = self.seen.last(asked.install_id).is_some_and(|last| last.generation > asked.generation);
        if newer {
            tracing::info!(app.install_id = %asked.install_id, generation = asked.generation, "overtaken; nothing is done");
        }
        newer
    }

    async fn say(&self, asked: &Asked<'_>, status: AppState, message: Option<String>) -> Result<(), Stopped> {
        self.reporter.app(asked, status, message, None).await
    }

    async fn conclude(
        &self,
        asked: &Asked<'_>,
        goal: AppState,
        done: Result<Option<String>, Failure>,
    ) -> Result<(), Stopped> {
        self.seen.note(asked.install_id, asked.generation, goal == AppState::Uninstalled && done.is_ok());
        match done {
            Ok(message) => self.reporter.app(asked, goal, message, None).await,
            Err(failure) => {
                let message = Some(format!("{}: {}", failure.code, failure.message));
                self.reporter.app(asked, AppState::Failed, message, Some(failure)).await
            }
        }
    }
}
