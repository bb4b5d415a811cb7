//! One command: decode, take the session's lock and a slot, announce, make the world match, report, and only then let it be
//! acknowledged.
//!
//! A start gives its slot up when only readiness is left to wait for, and stays unacknowledged: if the controller is killed
//! then, the command comes again and finds what it made. A start that a newer command cuts is acknowledged without a report.

use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use streams::{
    crash::{Moment, point},
    subject,
    wire::{Failure, Scope, SessionState, SessionStatus},
    worker::{Delivery, Held, Verdict},
};
use tracing::Instrument;

use super::{
    Controller,
    command::{Command, Error, Order},
    lanes::Lane,
    report::Stopped,
    steps::{Cut, Step},
};
use crate::driver::{Observed, Progress, Stage, retryable};

/// Why a command was left before its report.
#[derive(Debug)]
pub(super) enum Interrupted {
    /// A newer command took over, and its report concludes this one too.
    Cut,
    /// The controller is stopping: the command is delivered again.
    Stopped,
}

impl From<Cut> for Interrupted {
    fn from(_: Cut) -> Self {
        Self::Cut
    }
}

impl From<Stopped> for Interrupted {
    fn from(_: Stopped) -> Self {
        Self::Stopped
    }
}

impl Controller {
    /// Carries out one message.
    pub(super) async fn carry_out(&self, delivery: &Delivery, held: Held) -> Verdict {
        match self.decode(delivery) {
            Ok(command) => match self.obey(command, held).await {
                Ok(()) => Verdict::Done,
                Err(Interrupted::Cut) => {
                    tracing::info!(subject = %delivery.subject, "cut short by a newer command");
                    Verdict::Done
                }
                Err(Interrupted::Stopped) => Verdict::Again,
            },
            Err(error) => {
                tracing::warn!(%error, subject = %delivery.subject, "parks what it cannot carry out");
                Verdict::Park(format!("undecodable: {error}"))
            }
        }
    }

    fn decode(&self, delivery: &Delivery) -> Result<Command, Error> {
        let subject = &delivery.subject;
        let ours = subject::parse_command(subject)
            .filter(|(_, platform, id)| *platform == self.config.platform && *id == self.config.controller_id);
        let (verb, ..) = ours.ok_or_else(|| Error::Subject(subject.clone()))?;
        Command::decode(verb, &delivery.payload, &self.config.installation)
    }

    async fn obey(&self, command: Command, held: Held) -> Result<(), Interrupted> {
        match command {
            Command::Session(order) => self.session(&order, held).await,
            // in boxes, because they are rare and large, and a session's command would carry them
            Command::Install(app) => Box::pin(self.install(&app, held)).await,
            Command::Uninstall(app) => Box::pin(self.uninstall(&app, held)).await,
            Command::Withdraw(template) => {
                let _slot = self.lanes.enter(Lane::Deletes).await?;
                drop(held);
                if let Err(failure) = self.bounded(self.driver.uninstall(&template.template_name)).await {
                    tracing::warn!(template = %template.template_name, error = %failure.message, "a template is still there");
                }
                Ok(())
            }
        }
    }

    async fn session(&self, order: &Order, held: Held) -> Result<(), Interrupted> {
        let desired = &order.desired;
        let step = self.steps.arrive(desired.session_id, order.asked());
        let _turn = step.lock().await?;
        if let Some(observed) = self.stale(order).await {
            tracing::info!(session.id = %desired.session_id, generation = desired.generation, "stale; answers with the world");
            return Ok(self.reporter.session(&self.reporter.status(&observed, Some(order))).await?);
        }
        let slot = step.unless_cut(self.lanes.enter(order.lane())).await??;
        let (progress, mut said) = Progress::channel();
        let stage = Stage::holding(slot, progress);
        drop(held);
        let _making = self.make(order);
        if self.driver.announces() {
            let under_way = Observed::bare(desired.session_id, desired.generation, order.announcement);
            self.reporter.session(&self.reporter.status(&under_way, Some(order))).await?;
        }
        let mut work = pin!(self.ensure(order, &step, &stage));
        let done = loop {
            tokio::select! {
                biased;
                Some(message) = said.recv() => self.under_way(order, message).await?,
                done = &mut work => break done?,
            }
        };
        let status = match done {
            Ok(observed) => self.reporter.status(&observed, Some(order)),
            Err(failure) => self.reporter.failed(order, failure),
        };
        Ok(self.report(order, &status).await?)
    }

    /// How far a start is, for people.
    async fn under_way(&self, order: &Order, message: String) -> Result<(), Stopped> {
        let desired = &order.desired;
        let message = Some(message);
        let observed =
            Observed { message, ..Observed::bare(desired.session_id, desired.generation, order.announcement) };
        self.reporter.session(&self.reporter.status(&observed, Some(order))).await
    }

    async fn report(&self, order: &Order, status: &SessionStatus) -> Result<(), Stopped> {
        let desired = &order.desired;
        point("worker.report", Moment::Before);
        let mut reporting = pin!(self.reporter.session(status));
        let sent = futures::poll!(reporting.as_mut());
        point("worker.report", Moment::During);
        match sent {
            Poll::Ready(reported) => reported,
            Poll::Pending => reporting.await,
        }?;
        point("worker.report", Moment::After);
        let error = status.error.as_ref().map(|failure| failure.message.as_str());
        tracing::info!(session.id = %desired.session_id, session.status = status.status.as_str(), attempt = order.attempt,
            generation = desired.generation, error, "reported");
        Ok(())
    }

    /// What the driver answers, unless a newer command cuts it, or a start is not done within the patience of a stop.
    async fn ensure(
        &self,
        order: &Order,
        step: &Step<'_>,
        stage: &Stage,
    ) -> Result<Result<Observed, Failure>, Interrupted> {
        let desired = &order.desired;
        let span = tracing::info_span!("driver.ensure", session.id = %desired.session_id, goal = ?desired.goal);
        point("driver.ensure", Moment::Before);
        let patience = self.config.command_timeout + desired.readiness();
        let work = step.unless_cut(within(patience, self.driver.ensure_staged(desired, stage)).instrument(span));
        let starts = order.lane() == Lane::Starts;
        let done = tokio::select! {
            biased;
            done = work => done?,
            () = self.reporter.abandon.cancelled(), if starts => return Err(Interrupted::Stopped),
        };
        point("driver.ensure", Moment::After);
        if let Ok(observed) = &done {
            self.seen.note(desired.session_id, observed.generation, observed.state == SessionState::Deleted);
        }
        Ok(done)
    }

    /// The world as it is, where it is newer than the order. What was deleted since is not made again.
    async fn stale(&self, order: &Order) -> Option<Observed> {
        let session = order.desired.session_id;
        let last = self.seen.last(session).filter(|last| last.generation > order.desired.generation)?;
        match self.driver.observe(session).await {
            Ok(Some(observed)) => Some(observed),
            _ if last.deleted => Some(Observed::deleted(session, last.generation)),
            _ => None,
        }
    }

    pub(super) async fn bounded<T>(&self, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        within(self.config.command_timeout, work).await
    }
}

async fn within<T>(patience: Duration, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let given_up = |_| Err(retryable("timeout", format!("not done within {patience:?}")).of(Scope::Session));
    tokio::time::timeout(patience, work).await.unwrap_or_else(given_up)
}
