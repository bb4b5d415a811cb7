//! The durable consumers: the engine's on incoming streams, and one per controller on its lane.
//!
//! The engine creates them; controllers only bind. No `backoff` (it would replace `ack_wait`) and unlimited
//! deliveries, because the engine owns retries and redelivery covers only crashes.

use std::fmt::Debug;
use std::time::Duration;

use async_nats::jetstream::consumer;
use async_nats::jetstream::consumer::pull::Config;
use async_nats::jetstream::consumer::{AckPolicy, Consumer, PriorityPolicy};
use async_nats::jetstream::context::ConsumerInfoErrorKind;
use async_nats::jetstream::stream::ConsumerErrorKind;
use async_nats::jetstream::{Context, ErrorCode};

use super::{Difference, Error, SS_COMMANDS, SS_DLQ, SS_REPORTS, refused, subjects};
use crate::ids::{ControllerId, Platform};
use crate::subject;

/// A bound durable pull consumer.
pub type PullConsumer = Consumer<Config>;

/// Name of the engine's consumer on reports and on dead letters, shared by all its processes.
pub const ENGINE: &str = "engine";
/// The priority group of a controller's replicas.
pub const GROUP: &str = "active";
/// After this silence of the active replica its standby takes over.
pub const PINNED_TTL: Duration = Duration::from_secs(10);
/// After this time without acknowledgement or progress a message is redelivered, such as those of a killed
/// process. A worker reports progress three times in it.
const ACK_WAIT: Duration = Duration::from_secs(15);
const ENGINE_ACK_PENDING: i64 = 20_000;
/// A start that waits for readiness stays unacknowledged, so that a killed controller gets it again; thousands
/// of these must not block deletes. What a controller takes at a time is bounded by its worker and by the
/// engine's relay.
const CONTROLLER_ACK_PENDING: i64 = 65_536;

/// The state of a consumer.
#[derive(Debug, Clone)]
pub struct ConsumerState {
    /// Its name.
    pub name: String,
    /// Messages not delivered yet.
    pub pending: u64,
    /// Messages delivered and not acknowledged.
    pub unacknowledged: u64,
    /// Maximum number of unacknowledged messages.
    pub max_unacknowledged: i64,
    /// Unacknowledged messages that were delivered more than once.
    pub redelivered: u64,
    config: consumer::Config,
}

impl ConsumerState {
    /// Differences from the configuration of the engine's consumers.
    #[must_use]
    pub fn differs_from_the_engines(&self) -> Vec<Difference> {
        differences(&self.config, &of_engine())
    }

    /// Differences from the configuration of a controller's consumer.
    #[must_use]
    pub fn differs_from_that_of(&self, platform: &Platform, id: &ControllerId) -> Vec<Difference> {
        differences(&self.config, &of_controller(platform, id))
    }
}

impl From<consumer::Info> for ConsumerState {
    fn from(info: consumer::Info) -> Self {
        Self {
            name: info.name,
            pending: info.num_pending,
            unacknowledged: info.num_ack_pending as u64,
            max_unacknowledged: info.config.max_ack_pending,
            redelivered: info.num_redelivered as u64,
            config: info.config,
        }
    }
}

/// Creates or updates the engine's consumers.
///
/// # Errors
/// [`Error::Refused`] with the server's error.
pub async fn declare_engine_consumers(context: &Context) -> Result<(), Error> {
    for stream in [SS_REPORTS, SS_DLQ] {
        declare(context, stream, of_engine()).await?;
    }
    Ok(())
}

/// Creates or updates the consumer of one controller, on behalf of the engine; controllers only bind.
///
/// # Errors
/// [`Error::FilterMatchesNothing`] if it would never get a message, [`Error::Refused`] with the server's error.
pub async fn declare_controller_consumer(
    context: &Context,
    platform: &Platform,
    id: &ControllerId,
) -> Result<(), Error> {
    let config = of_controller(platform, id);
    check_filter(SS_COMMANDS, &config.filter_subject)?;
    declare(context, SS_COMMANDS, config).await
}

/// Binds a controller to its consumer; `None` until the engine has created it.
///
/// # Errors
/// [`Error::Refused`] if the server did not answer.
pub async fn bind_controller_consumer(
    context: &Context,
    platform: &Platform,
    id: &ControllerId,
) -> Result<Option<PullConsumer>, Error> {
    bind(context, SS_COMMANDS, &subject::consumer_name(platform, id)).await
}

/// Binds the engine to its consumer on [`SS_REPORTS`] or [`SS_DLQ`]; `None` if it is not declared.
///
/// # Errors
/// [`Error::Refused`] if the server did not answer.
pub async fn bind_engine_consumer(context: &Context, stream: &str) -> Result<Option<PullConsumer>, Error> {
    bind(context, stream, ENGINE).await
}

/// Deletes the consumer of a controller that an operator revoked. Its unread commands stay in the stream. A
/// missing consumer is not an error.
///
/// # Errors
/// [`Error::Refused`] with the server's error.
pub async fn remove_controller_consumer(
    context: &Context,
    platform: &Platform,
    id: &ControllerId,
) -> Result<(), Error> {
    let name = subject::consumer_name(platform, id);
    let what = || format!("removing consumer {name}");
    let stream = context.get_stream_no_info(SS_COMMANDS).await.map_err(|error| refused(what(), error))?;
    match stream.delete_consumer(&name).await {
        Ok(_) => Ok(()),
        Err(error) => match error.kind() {
            ConsumerErrorKind::JetStream(said) if is_missing(said.error_code()) => Ok(()),
            _ => Err(refused(what(), error)),
        },
    }
}

fn is_missing(code: ErrorCode) -> bool {
    code == ErrorCode::CONSUMER_NOT_FOUND || code == ErrorCode::STREAM_NOT_FOUND
}

fn of_engine() -> Config {
    durable(ENGINE.into(), String::new(), ENGINE_ACK_PENDING)
}

fn of_controller(platform: &Platform, id: &ControllerId) -> Config {
    Config {
        priority_policy: PriorityPolicy::PinnedClient,
        priority_groups: vec![GROUP.into()],
        priority_timeout: PINNED_TTL,
        ..durable(subject::consumer_name(platform, id), subject::consumer_filter(platform, id), CONTROLLER_ACK_PENDING)
    }
}

fn durable(name: String, filter: String, max_ack_pending: i64) -> Config {
    Config {
        durable_name: Some(name),
        filter_subject: filter,
        ack_policy: AckPolicy::Explicit,
        ack_wait: ACK_WAIT,
        max_deliver: -1,
        max_ack_pending,
        ..Config::default()
    }
}

pub(super) async fn bind(context: &Context, stream: &str, name: &str) -> Result<Option<PullConsumer>, Error> {
    let what = || format!("binding consumer {name} of {stream}");
    let handle = context.get_stream_no_info(stream).await.map_err(|error| refused(what(), error))?;
    match handle.consumer_info(name).await {
        Ok(_) => {}
        Err(error) => match error.kind() {
            ConsumerInfoErrorKind::NotFound | ConsumerInfoErrorKind::StreamNotFound => return Ok(None),
            ConsumerInfoErrorKind::JetStream(said) if is_missing(said.error_code()) => return Ok(None),
            _ => return Err(refused(what(), error)),
        },
    }
    handle.get_consumer(name).await.map(Some).map_err(|error| refused(what(), error))
}

async fn declare(context: &Context, stream: &'static str, wanted: Config) -> Result<(), Error> {
    let name = wanted.durable_name.clone().unwrap_or_default();
    if bind(context, stream, &name)
        .await?
        .is_some_and(|found| differences(&found.cached_info().config, &wanted).is_empty())
    {
        return Ok(());
    }
    let what = format!("creating or updating consumer {name} of {stream}");
    let handle = context.get_stream_no_info(stream).await.map_err(|error| refused(what.clone(), error))?;
    handle.create_consumer(wanted).await.map_err(|error| refused(what, error))?;
    tracing::info!(stream, consumer = %name, "declared consumer");
    Ok(())
}

/// Differences between a consumer and its required configuration.
fn differences(found: &consumer::Config, wanted: &Config) -> Vec<Difference> {
    let pairs = [
        ("filter_subject", found.filter_subject.clone(), wanted.filter_subject.clone()),
        ("ack_policy", said(&found.ack_policy), said(&wanted.ack_policy)),
        ("ack_wait", said(&found.ack_wait), said(&wanted.ack_wait)),
        ("max_deliver", said(&found.max_deliver), said(&wanted.max_deliver)),
        ("max_ack_pending", said(&found.max_ack_pending), said(&wanted.max_ack_pending)),
        ("backoff", said(&found.backoff), said(&wanted.backoff)),
        ("priority_policy", said(&found.priority_policy), said(&wanted.priority_policy)),
        ("priority_groups", said(&found.priority_groups), said(&wanted.priority_groups)),
        ("priority_timeout", said(&found.priority_timeout), said(&wanted.priority_timeout)),
    ];
    let differing = pairs.into_iter().filter(|(_, found, wanted)| found != wanted);
    differing.map(|(field, found, wanted)| Difference { field, found, wanted }).collect()
}

fn said(value: &impl Debug) -> String {
    format!("{value:?}")
}

/// The server accepts a filter that matches nothing, and its consumer would wait for ever.
fn check_filter(stream: &'static str, filter: &str) -> Result<(), Error> {
    if subjects(stream).iter().any(|pattern| overlap(pattern, filter)) {
        return Ok(());
    }
    Err(Error::FilterMatchesNothing { stream, filter: filter.into() })
}

/// Whether any subject matches both patterns.
fn overlap(a: &str, b: &str) -> bool {
    let (mut a, mut b) = (a.split('.'), b.split('.'));
    loop {
        match (a.next(), b.next()) {
            (Some(">"), Some(_)) | (Some(_), Some(">")) | (None, None) => return true,
            (Some(x), Some(y)) if x == y || x == "*" || y == "*" => {}
            _ => return false,
        }
    }
}
