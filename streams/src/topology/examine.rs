//! What the streams and their consumers look like, for whoever looks after them. Nothing is changed here.

use async_nats::jetstream::Context;
use async_nats::jetstream::stream::{Config, Info, LastRawMessageErrorKind};
use chrono::{DateTime, Utc};
use futures::TryStreamExt;

use super::{ConsumerState, Error, STREAMS, Settings, StreamState, find, merged, refused, state, wanted};

/// A stream against what it must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// As it stands.
    pub state: StreamState,
    /// Where it is not what it must be.
    pub differs: Vec<Difference>,
}

/// One setting of a stream, or of a consumer, that is not what it must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Which.
    pub field: &'static str,
    /// As it is.
    pub found: String,
    /// As it must be.
    pub wanted: String,
}

/// A message as it lies in a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Its place.
    pub sequence: u64,
    /// When it came.
    pub at: DateTime<Utc>,
    /// Its headers.
    pub headers: Vec<(String, String)>,
}

/// The three streams against what they must be, in the order of [`STREAMS`]; `None` where one is missing.
///
/// # Errors
/// [`Error::Refused`] where the server did not answer.
pub async fn examine(context: &Context, settings: &Settings) -> Result<Vec<Option<Standing>>, Error> {
    let mut all = Vec::with_capacity(STREAMS.len());
    for name in STREAMS {
        let info = find(context, name).await?;
        all.push(info.map(|info| standing(name, &info, wanted(context, settings, name))));
    }
    Ok(all)
}

fn standing(name: &'static str, info: &Info, wanted: Config) -> Standing {
    Standing { state: state(name, info, false), differs: differences(&info.config, wanted) }
}

fn differences(found: &Config, wanted: Config) -> Vec<Difference> {
    let fields = |config: &Config| {
        [
            ("retention", format!("{:?}", config.retention)),
            ("storage", format!("{:?}", config.storage)),
            ("subjects", config.subjects.join(" ")),
            ("discard", format!("{:?}", config.discard)),
            ("max_bytes", config.max_bytes.to_string()),
            ("max_messages", config.max_messages.to_string()),
            ("max_message_size", config.max_message_size.to_string()),
            ("max_age", format!("{:?}", config.max_age)),
            ("replicas", config.num_replicas.to_string()),
            ("duplicate_window", format!("{:?}", config.duplicate_window)),
        ]
    };
    let (retention, storage) = (wanted.retention, wanted.storage);
    let target = Config { retention, storage, ..merged(found, wanted, 0) };
    let pairs = fields(found).into_iter().zip(fields(&target));
    let differing = pairs.filter(|((_, found), (_, wanted))| found != wanted);
    differing.map(|((field, found), (_, wanted))| Difference { field, found, wanted }).collect()
}

/// The consumers of a stream, `most` of them at most; `None` where there is no such stream.
///
/// # Errors
/// [`Error::Refused`] where the server did not answer.
pub async fn consumers(context: &Context, stream: &str, most: usize) -> Result<Option<Vec<ConsumerState>>, Error> {
    if find(context, stream).await?.is_none() {
        return Ok(None);
    }
    let what = || format!("listing the consumers of {stream}");
    let handle = context.get_stream_no_info(stream).await.map_err(|error| refused(what(), error))?;
    let (mut listed, mut all) = (handle.consumers(), Vec::new());
    while let Some(info) = listed.try_next().await.map_err(|error| refused(what(), error))? {
        all.push(info.into());
        if all.len() >= most {
            break;
        }
    }
    Ok(Some(all))
}

/// The newest messages of a stream, `most` of them at most.
///
/// # Errors
/// [`Error::Refused`] where the server did not answer.
pub async fn newest(context: &Context, stream: &str, most: u64) -> Result<Vec<Stored>, Error> {
    let Some(info) = find(context, stream).await? else { return Ok(Vec::new()) };
    let failed = |source: async_nats::Error| refused(format!("reading the newest messages of {stream}"), source);
    let handle = context.get_stream_no_info(stream).await.map_err(|error| failed(error.into()))?;
    let last = info.state.last_sequence;
    let first = info.state.first_sequence.max((last + 1).saturating_sub(most)).max(1);
    let mut all = Vec::new();
    for sequence in first..=last {
        let message = match handle.get_raw_message(sequence).await {
            Ok(message) => message,
            Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => continue,
            Err(error) => return Err(failed(error.into())),
        };
        let nanos = i64::try_from(message.time.unix_timestamp_nanos()).unwrap_or_default();
        let each = message.headers.iter().flat_map(|(name, values)| values.iter().map(move |value| (name, value)));
        let headers = each.map(|(name, value)| (name.to_string(), value.to_string())).collect();
        all.push(Stored { sequence, at: DateTime::from_timestamp_nanos(nanos), headers });
    }
    Ok(all)
}
