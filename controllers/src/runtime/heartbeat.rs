//! The heartbeat: core NATS, no stream, a newer one replaces an older one.
//!
//! It is sent at once after each connect, because the engine makes this controller's consumer, and places work here, on the
//! first one that it hears. It is a request: an engine answers whether another host has the same id, and then this one must not
//! work. Where no engine answers it works, and beats again soon.

use std::sync::atomic::Ordering;
use std::time::Duration;

use chrono::Utc;
use sha2::{Digest as _, Sha256};
use streams::{
    async_nats::{HeaderMap, Request, RequestErrorKind},
    cloudevents,
    connect::Link,
    subject,
    tasks::Task,
    wire::{Capacity, ControllerHealth, Heartbeat, HeartbeatAnswer},
};
use tokio_util::sync::CancellationToken;

use super::{Config, Controller};

/// How long an engine may take to answer a heartbeat.
const PATIENCE: Duration = Duration::from_secs(1);
/// Until the next heartbeat, where no engine is there to hear one.
const SOON: Duration = Duration::from_secs(1);
/// The durable lane.
const PROTOCOL: u32 = 2;

/// What a request for an answer to a heartbeat came to.
enum Reply {
    /// An engine answered.
    Said(HeartbeatAnswer),
    /// Nobody listens there.
    NoResponders,
    /// It was not answered in time: the database is away, or whoever listens there is no engine.
    Silence,
}

/// What became of the newest heartbeat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Heard {
    /// Nothing that decides whether it may work.
    Nothing,
    /// It was taken, or an engine is there that does not answer.
    Taken,
    /// No engine is there.
    Nobody,
    /// Another host has this id.
    Refused(String),
}

impl Controller {
    /// Sends heartbeats until it is dropped, or the connection is closed for good.
    pub(super) async fn beat(&self, link: &Link, task: &Task) {
        let mut state = link.state.clone();
        loop {
            let mut pause = jittered(self.config.heartbeat_interval);
            if state.borrow_and_update().connected {
                let heard = task.work(self.beat_once(link, ControllerHealth::Healthy)).await;
                if matches!(heard, Heard::Nobody | Heard::Nothing) {
                    pause = pause.min(SOON);
                }
                if heard != Heard::Nothing {
                    self.heard.send_replace(heard);
                }
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                changed = state.changed() => if changed.is_err() { std::future::pending::<()>().await },
            }
        }
    }

    /// One heartbeat, on this controller's own subject. Engines of versions before do not listen there: where none answers it is said
    /// again on the subject that all share. A lost one is replaced by the next.
    async fn beat_once(&self, link: &Link, status: ControllerHealth) -> Heard {
        let payload = self.heartbeat(status).await;
        let own = subject::heartbeat(&self.config.platform, &self.config.controller_id);
        let first = self.ask(link, &own, payload.clone()).await;
        match first {
            Reply::Said(answer) => {
                self.own_subject.store(true, Ordering::Relaxed);
                return heard(answer);
            }
            // its permissions name its own subject alone, and engines that know NKeys listen there
            Reply::NoResponders if self.config.nats.nkey_file.is_some() => return Heard::Nobody,
            Reply::Silence if self.config.nats.nkey_file.is_some() => return Heard::Taken,
            // an engine that has answered there before is only slow
            Reply::Silence if self.own_subject.load(Ordering::Relaxed) => return Heard::Taken,
            Reply::Silence | Reply::NoResponders => {}
        }
        let answer = match self.ask(link, subject::HEARTBEAT, payload.clone()).await {
            Reply::Said(answer) => answer,
            Reply::NoResponders if matches!(first, Reply::NoResponders) => return Heard::Nobody,
            Reply::NoResponders | Reply::Silence => return Heard::Taken,
        };
        if answer.accepted {
            return Heard::Taken;
        }
        // An engine that listens on this controller's own subject too refuses here what it accepts there, if it was too slow
        // there, has started since, or is stopping.
        if answer.own_subjects {
            return Heard::Nothing;
        }
        // An engine of a version before says nothing about that. Its refusal decides only where nobody listens on the own subject.
        match self.ask(link, &own, payload).await {
            Reply::Said(answer) => heard(answer),
            Reply::NoResponders if !self.own_subject.load(Ordering::Relaxed) => heard(answer),
            Reply::NoResponders | Reply::Silence => Heard::Taken,
        }
    }

    async fn ask(&self, link: &Link, subject: &str, payload: Vec<u8>) -> Reply {
        let request = Request::new().payload(payload.into()).headers(self.event(subject)).timeout(Some(PATIENCE));
        match link.client.send_request(subject.to_owned(), request).await {
            Ok(answer) => match serde_json::from_slice::<HeartbeatAnswer>(&answer.payload) {
                Ok(answer) => {
                    self.accepted.fetch_or(answer.accepted, Ordering::Relaxed);
                    Reply::Said(answer)
                }
                Err(_) => Reply::Silence,
            },
            Err(error) if error.kind() == RequestErrorKind::NoResponders => Reply::NoResponders,
            Err(error) => {
                tracing::debug!(%error, subject, "a heartbeat was not answered");
                Reply::Silence
            }
        }
    }

    /// The last heartbeat; it is leaving, whatever is answered.
    pub(super) async fn take_leave(&self, link: &Link) {
        self.beat_once(link, ControllerHealth::Unhealthy).await;
        let _ = link.client.flush().await; // it is leaving either way
    }

    /// Waits until this host may work under its id; false where it was told to stop before that.
    pub(super) async fn may_work(&self, cancel: &CancellationToken) -> bool {
        let mut heard = self.heard.subscribe();
        let allowed = heard.wait_for(|heard| {
            if let Heard::Refused(reason) = heard {
                tracing::error!(reason, "waits: this host is refused");
            }
            matches!(heard, Heard::Taken | Heard::Nobody)
        });
        cancel.run_until_cancelled(allowed).await.is_some_and(|heard| heard.is_ok())
    }

    /// Waits until another host is in charge of this one's id; then it says so.
    pub(super) async fn is_replaced(&self) -> String {
        let mut heard = self.heard.subscribe();
        let refused = heard.wait_for(|heard| matches!(heard, Heard::Refused(_))).await.map(|heard| heard.clone());
        match refused {
            Ok(Heard::Refused(reason)) => reason,
            _ => std::future::pending().await, // the sender is part of the controller
        }
    }

    /// Whether no engine has let this run in, and it has begun nothing.
    pub(super) fn is_untried(&self) -> bool {
        !self.accepted.load(Ordering::Relaxed) && self.making_table().is_empty()
    }

    /// The shared subject does not say who speaks, so the headers do.
    fn event(&self, subject: &str) -> HeaderMap {
        let Config { platform, controller_id, .. } = &self.config;
        let about = format!("controller:{controller_id}");
        let mut headers = cloudevents::headers(subject, "", Some(&about));
        headers.insert(cloudevents::SOURCE, cloudevents::controller(platform, controller_id));
        headers
    }

    async fn capacity(&self) -> Capacity {
        let slots = u32::try_from(self.config.slots).unwrap_or(u32::MAX);
        Capacity { slots, ends_pass: true, ..self.driver.capacity().await }
    }

    async fn heartbeat(&self, status: ControllerHealth) -> Vec<u8> {
        let heartbeat = Heartbeat {
            controller_id: self.config.controller_id.to_string(),
            platform: self.config.platform.to_string(),
            timestamp: Utc::now(),
            status,
            version: env!("CARGO_PKG_VERSION").into(),
            capabilities: self.driver.capabilities(),
            cluster_info: self.driver.cluster_info(),
            protocol: Some(PROTOCOL),
            instance_id: Some(self.reporter.instance_id),
            world_id: Some(self.driver.world_id()),
            capacity: Some(self.capacity().await),
            interval_seconds: Some(self.config.heartbeat_interval.as_secs().max(1) as u32),
            labels: self.config.labels.clone(),
            sealing_key: None,
            template_schema_hash: self.config.template_schema.as_ref().map(hash),
            attributes: self.driver.attributes(),
            keeps: Some(self.driver.keeps()),
        };
        serde_json::to_vec(&heartbeat).unwrap_or_default()
    }
}

/// Changes when the schema does; the engine then asks for it.
fn hash(schema: &serde_json::Value) -> String {
    Sha256::digest(schema.to_string()).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn heard(answer: HeartbeatAnswer) -> Heard {
    if answer.accepted { Heard::Taken } else { Heard::Refused(answer.reason.unwrap_or_default()) }
}

/// Up to a tenth early or late, so that many controllers do not beat in step.
fn jittered(interval: Duration) -> Duration {
    interval.mul_f64(rand::random_range(0.9..1.1))
}
