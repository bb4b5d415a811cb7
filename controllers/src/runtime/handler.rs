//! One command: decode, take the session's turn, announce, make the world match, report, and only then let it be
//! acknowledged.

use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use streams::{
    crash::{Moment, point},
    subject,
    wire::{Failure, SessionState},
    worker::{Delivery, Verdict},
};
use tracing::Instrument;

use super::{
    Controller,
    command::{Command, Error, Order},
    report::Stopped,
};
use crate::driver::{Observed, retryable};

impl Controller {
    /// Carries out one message.
    pub(super) async fn carry_out(&self, delivery: &Delivery) -> Verdict {
        match self.decode(delivery) {
            Ok(command) => self.obey(command).await.map_or(Verdict::Again, |()| Verdict::Done),
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

    async fn obey(&self, command: Command) -> Result<(), Stopped> {
        match command {
            Command::Session(order) => self.session(&order).await,
            // in boxes, because they are rare and large, and a session's command would carry them
            Command::Install(app) => Box::pin(self.install(&app)).await,
            Command::Uninstall(app) => Box::pin(self.uninstall(&app)).await,
            Command::Withdraw(template) => {
                if let Err(failure) = self.bounded(self.driver.uninstall(&template.template_name)).await {
                    tracing::warn!(template = %template.template_name, error = %failure.message, "a template is still there");
                }
                Ok(())
            }
        }
    }

    async fn session(&self, order: &Order) -> Result<(), Stopped> {
        let desired = &order.desired;
        let _turn = self.turns.take(desired.session_id).await;
        if let Some(observed) = self.stale(order).await {
            tracing::info!(session.id = %desired.session_id, generation = desired.generation, "stale; answers with the world");
            return self.reporter.session(&self.reporter.status(&observed, Some(order))).await;
        }
        let _making = self.make(order);
        if self.driver.announces() {
            let under_way = Observed::bare(desired.session_id, desired.generation, order.announcement);
            self.reporter.session(&self.reporter.status(&under_way, Some(order))).await?;
        }
        let status = match self.ensure(order).await {
            Ok(observed) => self.reporter.status(&observed, Some(order)),
            Err(failure) => self.reporter.failed(order, failure),
        };
        point("worker.report", Moment::Before);
        let mut reporting = pin!(self.reporter.session(&status));
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

    async fn ensure(&self, order: &Order) -> Result<Observed, Failure> {
        let desired = &order.desired;
        let span = tracing::info_span!("driver.ensure", session.id = %desired.session_id, goal = ?desired.goal);
        point("driver.ensure", Moment::Before);
        let observed = self.bounded(self.driver.ensure(desired)).instrument(span).await?;
        point("driver.ensure", Moment::After);
        self.seen.note(desired.session_id, observed.generation, observed.state == SessionState::Deleted);
        Ok(observed)
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
        let patience: Duration = self.config.command_timeout;
        let given_up = |_| Err(retryable("timeout", format!("not done within {patience:?}")));
        tokio::time::timeout(patience, work).await.unwrap_or_else(given_up)
    }
}
