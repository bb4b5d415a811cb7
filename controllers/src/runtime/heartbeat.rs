//! The heartbeat: core NATS, no stream, a newer one replaces an older one.
//!
//! It is sent at once after each connect, because the engine makes this controller's consumer, and places work here, on the
//! first one that it hears.

use std::time::Duration;

use chrono::Utc;
use streams::{
    async_nats::HeaderMap,
    cloudevents,
    connect::Link,
    subject,
    wire::{Capacity, ControllerHealth, Heartbeat},
};
use tokio_util::sync::CancellationToken;

use super::{Config, Controller};

/// The durable lane.
const PROTOCOL: u32 = 2;

impl Controller {
    /// Beats until it is cancelled.
    pub(super) async fn beat(&self, link: &Link, cancel: CancellationToken) {
        let mut state = link.state.clone();
        loop {
            if state.borrow_and_update().connected {
                self.beat_once(link, ControllerHealth::Healthy).await;
            }
            tokio::select! {
                () = cancel.cancelled() => return,
                () = tokio::time::sleep(jittered(self.config.heartbeat_interval)) => {}
                changed = state.changed() => if changed.is_err() { return },
            }
        }
    }

    /// One heartbeat. A lost one is replaced by the next.
    pub(super) async fn beat_once(&self, link: &Link, status: ControllerHealth) {
        let heartbeat = serde_json::to_vec(&self.heartbeat(status).await).unwrap_or_default();
        let sent = link.client.publish_with_headers(subject::HEARTBEAT, self.event(), heartbeat.into()).await;
        if let Err(error) = sent {
            tracing::warn!(%error, "a heartbeat could not be sent");
        }
    }

    /// A heartbeat's subject is the same for all: who speaks has to be said.
    fn event(&self) -> HeaderMap {
        let Config { platform, controller_id, .. } = &self.config;
        let about = format!("controller:{controller_id}");
        let mut headers = cloudevents::headers(subject::HEARTBEAT, "", Some(&about));
        headers.insert(cloudevents::SOURCE, cloudevents::controller(platform, controller_id));
        headers
    }

    async fn heartbeat(&self, status: ControllerHealth) -> Heartbeat {
        Heartbeat {
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
            capacity: Some(Capacity { slots: self.config.slots as u32, ..self.driver.capacity().await }),
            interval_seconds: Some(self.config.heartbeat_interval.as_secs().max(1) as u32),
            labels: self.config.labels.clone(),
            sealing_key: None,
        }
    }
}

/// Up to a tenth early or late, so that many controllers do not beat in step.
fn jittered(interval: Duration) -> Duration {
    interval.mul_f64(rand::random_range(0.9..1.1))
}
