//! The engine's streams: their required and their actual configuration, and how to update one without losing a
//! message.
//!
//! A stream is created, compared, updated if the server allows it, or refused with the reason. It is deleted
//! only on request of the engine ([`forget`]). If engines request different limits, the one that started last
//! wins. Each stream carries its epoch in its metadata: a stream that is recreated after a loss has a new one,
//! so that sequences of the two are never confused.

mod consumers;
mod examine;
mod limits;
mod room;
mod whereabouts;

use std::collections::HashMap;
use std::time::Duration;

use async_nats::jetstream::context::{
    CreateStreamError, CreateStreamErrorKind, DeleteStreamErrorKind, GetStreamErrorKind,
};
use async_nats::jetstream::stream::{self, Config, DiscardPolicy, Info, LastRawMessageErrorKind, RetentionPolicy};
use async_nats::jetstream::{Context, ErrorCode};
use chrono::{DateTime, Utc};

pub use consumers::{
    ConsumerState, ENGINE, GROUP, PINNED_TTL, PullConsumer, bind_controller_consumer, bind_engine_consumer,
    declare_controller_consumer, declare_engine_consumers, remove_controller_consumer,
};
pub use examine::{Difference, Standing, Stored, consumers, examine, newest};
pub use limits::{Limits, Settings, setting};
pub use room::make_room;
pub use whereabouts::{Whereabouts, whereabouts};

use crate::subject;

/// Commands of the durable lane.
pub const SS_COMMANDS: &str = "SS_COMMANDS";
/// Reports from controllers.
pub const SS_REPORTS: &str = "SS_REPORTS";
/// Dead letters.
pub const SS_DLQ: &str = "SS_DLQ";
/// All streams, in the order in which states are returned.
pub const STREAMS: [&str; 3] = [SS_COMMANDS, SS_REPORTS, SS_DLQ];
/// Metadata key of a stream's epoch.
pub const EPOCH: &str = "streamspace-epoch";
/// Metadata key for the start of the engine that set the limits, [`Settings::since_ms`].
const SINCE: &str = "streamspace-limits-since";
/// Headroom of commands and reports below the server's maximum message size, so that they still fit into the
/// dead-letter stream with the headers that parking adds.
const HEADROOM: usize = 16 * 1024;

/// Why streams or consumers do not have the required configuration.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server cannot change this setting in place, and deleting the stream would lose its messages.
    #[error(
        "stream {stream} exists with {field} {found}, and must have {wanted}; the server cannot change that in place. Drain it, then remove it with `nats stream rm {stream}`"
    )]
    Unchangeable {
        /// The stream.
        stream: &'static str,
        /// The setting that deviates.
        field: &'static str,
        /// Present value.
        found: String,
        /// Required value.
        wanted: String,
    },
    /// The server refused a request.
    #[error("{what}: {source}")]
    Refused {
        /// The request.
        what: String,
        /// The server's error.
        #[source]
        source: async_nats::Error,
    },
    /// The server or the account has less storage than the stream may use.
    #[error(
        "stream {stream} may hold {bytes} bytes, and JetStream has not so much room left: {source}; lower {setting}, or give the \
         server more (`max_file_store`, or the account's limit)"
    )]
    NoRoom {
        /// The stream.
        stream: &'static str,
        /// Its maximum size.
        bytes: i64,
        /// The setting for that size.
        setting: String,
        /// The server's error.
        #[source]
        source: async_nats::Error,
    },
    /// A consumer would never get a message.
    #[error("no subject of {stream} can match the filter {filter}")]
    FilterMatchesNothing {
        /// The stream.
        stream: &'static str,
        /// The filter.
        filter: String,
    },
}

fn refused(what: impl Into<String>, source: impl Into<async_nats::Error>) -> Error {
    Error::Refused { what: what.into(), source: source.into() }
}

/// The state of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamState {
    /// Its name.
    pub name: &'static str,
    /// Sequences are comparable only within one epoch. 0 if the stream was not created by an engine.
    pub epoch: i64,
    /// Whether this call created it.
    pub created: bool,
    /// First sequence still stored.
    pub first_seq: u64,
    /// Last sequence assigned.
    pub last_seq: u64,
    /// Number of messages.
    pub messages: u64,
    /// Maximum number of messages; below 1 it is unlimited.
    pub max_messages: i64,
    /// Size in bytes.
    pub bytes: u64,
    /// Maximum size in bytes; below 1 it is unlimited.
    pub max_bytes: i64,
    /// Maximum size of a message including headers, in bytes; below 1 the server's limit applies.
    pub max_message_bytes: i64,
    /// Time of creation, by the server's clock.
    pub created_at: DateTime<Utc>,
}

impl StreamState {
    /// Fill from 0 to 1, by messages or by bytes, whichever is higher.
    #[must_use]
    pub fn fullness(&self) -> f64 {
        let share = |has: u64, limit: i64| if limit > 0 { has as f64 / limit as f64 } else { 0.0 };
        share(self.messages, self.max_messages).max(share(self.bytes, self.max_bytes)).min(1.0)
    }
}

/// Creates or updates the three streams. `next_epoch` is the epoch of those that have to be created.
///
/// # Errors
/// [`Error::Unchangeable`] if only a new stream would do, [`Error::NoRoom`] if the server has less storage than
/// the stream may use, [`Error::Refused`] with the server's error otherwise.
pub async fn declare(context: &Context, settings: &Settings, next_epoch: i64) -> Result<Vec<StreamState>, Error> {
    let mut states = Vec::with_capacity(STREAMS.len());
    for name in STREAMS {
        states.push(declare_one(context, name, wanted(context, settings, name), next_epoch).await?);
    }
    Ok(states)
}

/// Deletes a stream with all its messages, so that it can be recreated. A missing stream is not an error.
///
/// # Errors
/// [`Error::Refused`] with the server's error.
pub async fn forget(context: &Context, name: &'static str) -> Result<(), Error> {
    match context.delete_stream(name).await {
        Ok(_) => {
            tracing::warn!(stream = name, "deleted stream to recreate it");
            Ok(())
        }
        Err(error) => match error.kind() {
            DeleteStreamErrorKind::JetStream(said) if said.error_code() == ErrorCode::STREAM_NOT_FOUND => Ok(()),
            _ => Err(refused(format!("deleting stream {name}"), error)),
        },
    }
}

/// The states of the three streams, in the order of [`STREAMS`]; `None` for a missing one.
///
/// # Errors
/// [`Error::Refused`] if the server did not answer.
pub async fn inspect(context: &Context) -> Result<Vec<Option<StreamState>>, Error> {
    let mut states = Vec::with_capacity(STREAMS.len());
    for name in STREAMS {
        states.push(find(context, name).await?.map(|info| state(name, &info, false)));
    }
    Ok(states)
}

/// The state of one stream; `None` if it is missing.
///
/// # Errors
/// [`Error::Refused`] if the server did not answer.
pub(crate) async fn incarnation(context: &Context, name: &'static str) -> Result<Option<StreamState>, Error> {
    Ok(find(context, name).await?.map(|info| state(name, &info, false)))
}

/// Whether a stream still contains a sequence; in a work queue, whether it is unacknowledged.
///
/// # Errors
/// [`Error::Refused`] if the server did not answer, so that it is unknown.
pub async fn holds(context: &Context, stream: &str, sequence: u64) -> Result<bool, Error> {
    let failed = |source: async_nats::Error| refused(format!("looking for sequence {sequence} of {stream}"), source);
    let handle = context.get_stream_no_info(stream).await.map_err(|e| failed(e.into()))?;
    match handle.get_raw_message(sequence).await {
        Ok(_) => Ok(true),
        Err(error) => match error.kind() {
            LastRawMessageErrorKind::NoMessageFound => Ok(false),
            LastRawMessageErrorKind::JetStream(said) if said.error_code() == ErrorCode::STREAM_NOT_FOUND => Ok(false),
            _ => Err(failed(error.into())),
        },
    }
}

async fn declare_one(context: &Context, name: &'static str, wanted: Config, epoch: i64) -> Result<StreamState, Error> {
    if let Some(info) = find(context, name).await? {
        return update(context, name, info, wanted, epoch).await;
    }
    let mut config = wanted.clone();
    config.metadata.insert(EPOCH.to_owned(), epoch.to_string());
    match context.create_stream(config).await {
        Ok(stream) => {
            let state = state(name, stream.cached_info(), true);
            tracing::info!(stream = name, stream.epoch = state.epoch, "created stream");
            Ok(state)
        }
        // Another engine was faster; its epoch counts.
        Err(error) => match (find(context, name).await?, is_taken(&error.kind())) {
            (Some(info), true) => update(context, name, info, wanted, epoch).await,
            _ => Err(unwilling("creating", name, wanted.max_bytes, error)),
        },
    }
}

fn is_taken(kind: &CreateStreamErrorKind) -> bool {
    matches!(kind, CreateStreamErrorKind::JetStream(said) if said.error_code() == ErrorCode::STREAM_NAME_EXIST)
}

/// Why the server does not create or update a stream.
fn unwilling(doing: &str, name: &'static str, bytes: i64, error: CreateStreamError) -> Error {
    match error.kind() {
        CreateStreamErrorKind::JetStream(said) if is_out_of_room(said.error_code()) => {
            Error::NoRoom { stream: name, bytes, setting: setting(name, "bytes"), source: error.into() }
        }
        _ => refused(format!("{doing} stream {name}"), error),
    }
}

/// Whether the storage of the stream, the account or the server is used up.
pub(crate) fn is_out_of_room(code: ErrorCode) -> bool {
    [
        ErrorCode::ACCOUNT_RESOURCES_EXCEEDED,
        ErrorCode::INSUFFICIENT_RESOURCES,
        ErrorCode::MEMORY_RESOURCES_EXCEEDED,
        ErrorCode::STORAGE_RESOURCES_EXCEEDED,
        ErrorCode::STREAM_STORE_FAILED,
    ]
    .contains(&code)
}

async fn find(context: &Context, name: &str) -> Result<Option<Info>, Error> {
    match context.get_stream(name).await {
        Ok(stream) => Ok(Some(stream.cached_info().clone())),
        Err(error) => match error.kind() {
            GetStreamErrorKind::JetStream(said) if said.error_code() == ErrorCode::STREAM_NOT_FOUND => Ok(None),
            _ => Err(refused(format!("reading stream {name}"), error)),
        },
    }
}

async fn update(
    context: &Context,
    name: &'static str,
    info: Info,
    wanted: Config,
    epoch: i64,
) -> Result<StreamState, Error> {
    let unchangeable =
        |field, found: String, wanted: String| Error::Unchangeable { stream: name, field, found, wanted };
    let found = &info.config;
    if found.retention != wanted.retention {
        return Err(unchangeable("retention", format!("{:?}", found.retention), format!("{:?}", wanted.retention)));
    }
    if found.storage != wanted.storage {
        return Err(unchangeable("storage", format!("{:?}", found.storage), format!("{:?}", wanted.storage)));
    }
    let target = merged(found, wanted, epoch);
    if target == *found {
        return Ok(state(name, &info, false));
    }
    let bytes = target.max_bytes;
    let info = context.update_stream(target).await.map_err(|error| unwilling("updating", name, bytes, error))?;
    tracing::info!(stream = name, "updated stream");
    Ok(state(name, &info, false))
}

/// The present configuration with our settings; everything else, above all the epoch, stays.
fn merged(found: &Config, wanted: Config, epoch: i64) -> Config {
    let mut target = found.clone();
    if sorted(&found.subjects) != sorted(&wanted.subjects) {
        target.subjects.clone_from(&wanted.subjects);
    }
    target.discard = wanted.discard;
    target.max_age = wanted.max_age;
    target.metadata.entry(EPOCH.to_owned()).or_insert_with(|| epoch.to_string());
    if limits(found) != limits(&wanted) && since(&wanted) >= since(found) {
        target.max_bytes = wanted.max_bytes;
        target.max_messages = wanted.max_messages;
        target.max_message_size = wanted.max_message_size;
        target.num_replicas = wanted.num_replicas;
        target.duplicate_window = wanted.duplicate_window;
        target.metadata.extend(wanted.metadata);
    }
    target
}

fn limits(config: &Config) -> (i64, i64, i32, usize, Duration) {
    let Config { max_bytes, max_messages, max_message_size, num_replicas, duplicate_window, .. } = *config;
    (max_bytes, max_messages, max_message_size, num_replicas, duplicate_window)
}

fn since(config: &Config) -> i64 {
    config.metadata.get(SINCE).and_then(|since| since.parse().ok()).unwrap_or(0)
}

fn sorted(subjects: &[String]) -> Vec<&String> {
    let mut subjects = subjects.iter().collect::<Vec<_>>();
    subjects.sort();
    subjects
}

fn wanted(context: &Context, settings: &Settings, name: &'static str) -> Config {
    let Limits { bytes, messages } = settings.limits(name);
    let room = context.client().max_payload().saturating_sub(HEADROOM);
    let largest = i32::try_from(room).unwrap_or(i32::MAX).max(1024);
    Config {
        name: name.into(),
        subjects: subjects(name),
        retention: retention(name),
        discard: DiscardPolicy::New,
        storage: stream::StorageType::File,
        max_bytes: i64::try_from(bytes).unwrap_or(i64::MAX),
        max_messages: i64::try_from(messages).unwrap_or(i64::MAX),
        max_message_size: if name == SS_DLQ { -1 } else { largest },
        num_replicas: settings.replicas,
        duplicate_window: settings.duplicate_window,
        metadata: HashMap::from([(SINCE.to_owned(), settings.since_ms.to_string())]),
        ..Config::default()
    }
}

/// The retention policy of a stream.
pub(crate) fn retention(stream: &str) -> RetentionPolicy {
    if stream == SS_DLQ { RetentionPolicy::Limits } else { RetentionPolicy::WorkQueue }
}

/// The subjects of a stream.
pub(crate) fn subjects(stream: &str) -> Vec<String> {
    match stream {
        SS_COMMANDS => subject::command_stream_subjects(),
        SS_REPORTS => subject::report_stream_subjects(),
        _ => vec![format!("{}>", subject::DEAD_LETTER_PREFIX)],
    }
}

fn state(name: &'static str, info: &Info, created: bool) -> StreamState {
    let nanos = i64::try_from(info.created.unix_timestamp_nanos()).unwrap_or_default();
    StreamState {
        name,
        epoch: info.config.metadata.get(EPOCH).and_then(|epoch| epoch.parse().ok()).unwrap_or(0),
        created,
        first_seq: info.state.first_sequence,
        last_seq: info.state.last_sequence,
        messages: info.state.messages,
        max_messages: info.config.max_messages,
        bytes: info.state.bytes,
        max_bytes: info.config.max_bytes,
        max_message_bytes: i64::from(info.config.max_message_size),
        created_at: DateTime::from_timestamp_nanos(nanos),
    }
}
