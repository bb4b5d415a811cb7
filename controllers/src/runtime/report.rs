//! Saying what is, until JetStream has acknowledged it.
//!
//! A report is made once, with its id, and tried until it is acknowledged: a publish whose answer was lost is sent again with
//! the same bytes, and the engine applies it once. Reports and worlds leave under one lock: while a world is being told no
//! status overtakes it, so that the engine never takes a session for absent that was reported a moment before.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use chrono::Utc;
use serde::Serialize;
use streams::{
    cloudevents,
    ids::{ControllerId, Platform},
    limits::{CODE, MESSAGE, PHASE, shorten},
    publisher::{self, Outgoing, Publisher},
    subject::{self, Report},
    trace,
    wire::{AppState, AppStatus, Failure, SessionState, SessionStatus},
};
use tokio::sync::RwLock;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;
use uuid::Uuid;

use super::application::Asked;
use super::command::Order;
use crate::driver::Observed;

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// Between two times that it is told that reports are not taken.
const TELL: Duration = Duration::from_secs(30);

/// The controller is stopping before a command was carried out, or before NATS took its report.
#[derive(Debug, thiserror::Error)]
#[error("given up because the controller is stopping")]
pub(super) struct Stopped;

/// What a platform says for people may be a whole log; the engine would shorten it too, but NATS takes no message of that size.
fn short(text: Option<&str>, max: usize) -> Option<String> {
    text.map(|text| shorten(text, max).into_owned())
}

fn short_failure(failure: &Failure) -> Failure {
    let (code, message) = (shorten(&failure.code, CODE).into_owned(), shorten(&failure.message, MESSAGE).into_owned());
    Failure { code, message, ..failure.clone() }
}

pub(super) struct Reporter {
    pub(super) publisher: Publisher,
    pub(super) controller_id: ControllerId,
    pub(super) platform: Platform,
    pub(super) instance_id: Uuid,
    /// Statuses share it, a world has it alone.
    pub(super) order: RwLock<()>,
    /// Set when a stop has waited long enough.
    pub(super) abandon: CancellationToken,
    /// When it was told last that a report was not taken, so that it is not told for every one.
    pub(super) told: Mutex<Option<Instant>>,
}

impl Reporter {
    /// A status of a session as it was observed; of whoever asked, `cause` says what this answers.
    pub(super) fn status(&self, observed: &Observed, cause: Option<&Order>) -> SessionStatus {
        SessionStatus {
            event_id: Uuid::now_v7(),
            timestamp: Utc::now(),
            session_id: observed.session_id,
            status: observed.state,
            phase: short(observed.phase.as_deref(), PHASE),
            url: observed.url.clone(),
            pod_name: observed.resource_name.clone(),
            message: short(observed.message.as_deref(), MESSAGE),
            resource_usage: observed.resource_usage.clone(),
            connections: observed.connections,
            generation: Some(observed.generation),
            causation_id: cause.map(|order| order.event_id),
            attempt: cause.map(|order| order.attempt),
            controller_id: Some(self.controller_id.to_string()),
            instance_id: Some(self.instance_id),
            error: observed.failure.as_ref().map(short_failure),
        }
    }

    /// An attempt that did not succeed.
    pub(super) fn failed(&self, order: &Order, failure: Failure) -> SessionStatus {
        let desired = &order.desired;
        let message = Some(failure.message.clone());
        let bare = Observed::bare(desired.session_id, desired.generation, SessionState::Failed);
        self.status(&Observed { message, failure: Some(failure), ..bare }, Some(order))
    }

    /// Says what a session is.
    pub(super) async fn session(&self, status: &SessionStatus) -> Result<(), Stopped> {
        let span = tracing::info_span!("report session.status", otel.kind = "producer", session.id = %status.session_id,
            session.status = status.status.as_str());
        let _shared = self.order.read().await;
        let about = format!("session:{}", status.session_id);
        self.send(Report::SessionStatus, status.event_id, about, status).instrument(span).await
    }

    /// Says what an application is.
    pub(super) async fn app(
        &self,
        asked: &Asked<'_>,
        status: AppState,
        message: Option<String>,
        error: Option<Failure>,
    ) -> Result<(), Stopped> {
        let event_id = Uuid::now_v7();
        let report = AppStatus {
            event_id,
            timestamp: Utc::now(),
            install_id: asked.install_id,
            status,
            template_name: asked.template_name.to_owned(),
            template_namespace: None,
            message: short(message.as_deref(), MESSAGE),
            generation: Some(asked.generation).filter(|generation| *generation > 0),
            causation_id: Some(asked.event_id),
            attempt: Some(asked.attempt),
            controller_id: Some(self.controller_id.to_string()),
            instance_id: Some(self.instance_id),
            error: error.as_ref().map(short_failure),
        };
        let span = tracing::info_span!("report app.status", otel.kind = "producer", app.install_id = %asked.install_id);
        let about = format!("application:{}", asked.install_id);
        self.send(Report::AppStatus, event_id, about, &report).instrument(span).await
    }

    /// Publishes until it is acknowledged; `about` is the entity, as the engine's log spells it.
    pub(super) async fn send(
        &self,
        report: Report,
        event_id: Uuid,
        about: String,
        body: &impl Serialize,
    ) -> Result<(), Stopped> {
        let outgoing = Outgoing {
            subject: subject::report(report, &self.platform, &self.controller_id),
            message_id: event_id.to_string(),
            traceparent: trace::current_traceparent(),
            headers: vec![(cloudevents::SUBJECT.to_owned(), about)],
            payload: serde_json::to_vec(body).unwrap_or_default().into(), // plain data: it always can be written
        };
        let mut pause = FIRST_PAUSE;
        loop {
            let sent = tokio::select! {
                sent = self.publisher.publish(outgoing.clone()) => sent,
                () = self.abandon.cancelled() => return Err(Stopped),
            };
            let Err(error) = sent else { return Ok(()) };
            self.not_taken(report, &error);
            tokio::select! {
                () = tokio::time::sleep(pause) => pause = (pause * 2).min(LONGEST_PAUSE),
                () = self.abandon.cancelled() => return Err(Stopped),
            }
        }
    }

    fn not_taken(&self, report: Report, error: &publisher::Error) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.is_some_and(|at| at.elapsed() < TELL) {
            tracing::debug!(%error, report = report.name(), "a report was not acknowledged either");
        } else {
            tracing::warn!(%error, report = report.name(), "a report was not acknowledged; reports are sent again until they are");
            *told = Some(Instant::now());
        }
    }
}
