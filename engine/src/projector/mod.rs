//! What happens when a controller reports: the report is read, handed to the writer, and acknowledged once it is committed.
//!
//! What cannot be read, is refused, or can never be stored is parked with its bytes, and an attempt that it was to answer counts as
//! failed. What could not be written now is left to redelivery. Each report has its own verdict: none delays the others.

mod legible;
mod parked;
mod reports;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::join_all;
use machine::Lane;
use machine::session::{Observation, Source};
use serde_json::Value;
use streams::crash::{Moment, point};
use streams::limits;
use streams::subject::{self, Report, Sender};
use streams::wire::{Failure, SessionState, SessionStatus, World};
use streams::worker::{Delivery, Verdict};
use tracing::Instrument;

use crate::parts::Parts;
use crate::stuck::{Stuck, TRIES};
use crate::worlds::Worlds;
use crate::writer::{Error, Hope, ReportIn, Request};

pub(crate) use legible::illegible;

/// Applies reports.
pub(crate) struct Projector {
    parts: Parts,
    worlds: Worlds,
}

impl Projector {
    pub(crate) fn new(parts: Parts) -> Arc<Self> {
        Arc::new(Self { worlds: Worlds::new(parts.clone()), parts })
    }

    /// Applies a batch; a verdict for each delivery.
    pub(crate) async fn apply(&self, deliveries: Vec<Delivery>) -> Vec<Verdict> {
        point("projector.apply", Moment::Before);
        let verdicts = join_all(deliveries.iter().map(|delivery| self.apply_one(delivery))).await;
        point("projector.apply", Moment::After);
        verdicts
    }

    /// A defect that one report brings out is that report's affair.
    async fn apply_one(&self, delivery: &Delivery) -> Verdict {
        let Ok(verdict) = AssertUnwindSafe(self.one(delivery)).catch_unwind().await else {
            return unsure(&self.parts.stuck, delivery, "panicked: this version has a defect; its log has the reason");
        };
        let Verdict::Park(why) = &verdict else { return verdict };
        let Some((report, sender)) = subject::parse_report(&delivery.subject) else { return verdict };
        let Some(lost) = parked::attempt(delivery, report, &sender, why) else { return verdict };
        let failed = self.parts.writer.enqueue(lost, delivery.traceparent.clone()).await;
        match failed {
            Err(error) if error.hope() == Hope::Passes => Verdict::Again,
            Err(error) => {
                tracing::warn!(%error, subject = %delivery.subject, "a report is parked, and its attempt could not be ended");
                verdict
            }
            Ok(_) => verdict,
        }
    }

    async fn one(&self, delivery: &Delivery) -> Verdict {
        let seq = i64::try_from(delivery.stream_sequence).unwrap_or(i64::MAX);
        let Some((report, sender)) = subject::parse_report(&delivery.subject) else {
            return Verdict::Park(format!("undecodable: {} is not a subject of the contract", delivery.subject));
        };
        let span = tracing::info_span!("project", otel.kind = "consumer", messaging.destination = %delivery.subject);
        if let Some(traceparent) = &delivery.traceparent {
            streams::trace::set_parent(&span, traceparent);
        }
        let source = Source { epoch: delivery.stream_epoch, seq };
        match report {
            Report::SessionStatus => self.session_status(delivery, &sender, source).instrument(span).await,
            Report::ControllerWorld => self.world(delivery, &sender, source).instrument(span).await,
            Report::AppStatus => {
                self.application(delivery, reports::app_status, &sender, source).instrument(span).await
            }
            Report::TemplateCreate => {
                self.application(delivery, reports::template_create, &sender, source).instrument(span).await
            }
            Report::NodeStatus => Verdict::Park(format!("unsupported: this version does not act on {}", report.name())),
        }
    }

    async fn session_status(&self, delivery: &Delivery, sender: &Sender, source: Source) -> Verdict {
        let (payload, status) = match limits::read::<SessionStatus>(&delivery.payload) {
            Ok(read) => read,
            Err(error) => return Verdict::Park(format!("undecodable: {error}")),
        };
        let report = report_in(&delivery.subject, payload, &status, sender, source);
        let traceparent = streams::trace::current_traceparent().or_else(|| delivery.traceparent.clone());
        let answer = self.parts.writer.enqueue(report, traceparent).await;
        point("projector.apply", Moment::During);
        verdict(&self.parts.stuck, delivery, answer)
    }

    /// What is about an application or its template.
    async fn application<R: Request>(
        &self,
        delivery: &Delivery,
        read: fn(&Delivery, &Sender, Source) -> Result<R, String>,
        sender: &Sender,
        source: Source,
    ) -> Verdict {
        let report = match read(delivery, sender, source) {
            Ok(report) => report,
            Err(why) => return Verdict::Park(format!("undecodable: {why}")),
        };
        let traceparent = streams::trace::current_traceparent().or_else(|| delivery.traceparent.clone());
        verdict(&self.parts.stuck, delivery, self.parts.writer.enqueue(report, traceparent).await)
    }

    async fn world(&self, delivery: &Delivery, sender: &Sender, source: Source) -> Verdict {
        let Sender::Durable(platform, controller) = sender else {
            return Verdict::Park("illegal: a world is told in the durable lane".into());
        };
        // each of its sessions is held to the limits by itself, so that one hinders no other
        let world: World = match serde_json::from_slice(&delivery.payload) {
            Ok(world) => world,
            Err(error) => return Verdict::Park(format!("undecodable: {error}")),
        };
        if world.controller_id != controller.as_str() || world.platform != platform.as_str() {
            return Verdict::Park("illegal: a world told under another controller's subject".into());
        }
        self.worlds.part(delivery, world, sender, source).await
    }
}

/// What the writer's answer means to the delivery.
pub(crate) fn verdict<T>(stuck: &Stuck, delivery: &Delivery, answer: Result<T, Error>) -> Verdict {
    let error = match answer {
        Ok(_) => {
            stuck.done(|| place(delivery));
            return Verdict::Done;
        }
        Err(error) => error,
    };
    match (error.hope(), &error) {
        (Hope::Passes, _) => Verdict::Again,
        (Hope::Unknown, _) => unsure(stuck, delivery, &format!("unexplained: {error}")),
        (Hope::None, Error::NotFound { .. }) => Verdict::Park(format!("unknown: {error}")),
        (Hope::None, Error::Unstorable(_)) => Verdict::Park(format!("unstorable: {error}")),
        (Hope::None, _) => Verdict::Park(format!("illegal: {error}")),
    }
}

/// It is tried again, but not without end.
fn unsure(stuck: &Stuck, delivery: &Delivery, why: &str) -> Verdict {
    if stuck.failed(&place(delivery), why) < TRIES {
        return Verdict::Again;
    }
    stuck.done(|| place(delivery));
    Verdict::Park(why.to_owned())
}

/// Where a delivery lies, for people.
fn place(delivery: &Delivery) -> String {
    format!("stream:{}/{}", delivery.stream, delivery.stream_sequence)
}

/// What a status says, in the machine's terms.
pub(crate) fn report_in(
    subject: &str,
    payload: Value,
    status: &SessionStatus,
    sender: &Sender,
    source: Source,
) -> ReportIn {
    let (lane, controller_id) = match sender {
        Sender::Durable(_, controller) => (Lane::Durable, controller.to_string()),
        Sender::Core => (Lane::Core, status.controller_id.clone().unwrap_or_default()),
    };
    let observation = Observation {
        controller_id,
        lane,
        source,
        status: status.status,
        generation: status.generation,
        causation_id: status.causation_id,
        attempt: status.attempt,
        instance_id: status.instance_id,
        error: failure(status.error.as_ref(), status.status == SessionState::Failed, status.message.as_deref()),
        url: status.url.clone(),
        pod_name: status.pod_name.clone(),
        phase: status.phase.clone(),
        message: status.message.clone(),
        connections: status.connections.and_then(|count| i32::try_from(count).ok()),
        in_use: false, // what it may use is in its row: the writer knows
    };
    ReportIn {
        event_id: status.event_id,
        session_id: status.session_id,
        subject: subject.to_owned(),
        payload,
        observation,
        resource_usage: status.resource_usage.as_ref().and_then(|usage| serde_json::to_value(usage).ok()),
    }
}

/// A plain controller says no more than `failed`; that counts as an error that may pass.
fn failure(error: Option<&Failure>, failed: bool, message: Option<&str>) -> Option<Failure> {
    if error.is_some() || !failed {
        return error.cloned();
    }
    let message = message.unwrap_or("the controller reported failed").to_owned();
    Some(Failure { code: "failed".into(), message, retryable: true, user_error: false, scope: None })
}
