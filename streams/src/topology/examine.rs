//! Reads the state of streams and consumers for the doctor; changes nothing.

use async_nats::jetstream::Context;
use async_nats::jetstream::stream::{Config, Info, LastRawMessageErrorKind};
use chrono::{DateTime, Utc};
use futures::TryStreamExt;

use super::{ConsumerState, Error, STREAMS, Settings, StreamState, find, merged, refused, state, wanted};

/// A stream compared with its required configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Its state.
    pub state: StreamState,
    /// Its differences.
    pub differs: Vec<Difference>,
}

/// A setting of a stream or consumer that deviates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Name of the setting.
    pub field: &'static str,
    /// Present value.
    pub found: String,
    /// Required value.
    pub wanted: String,
}

/// A message in a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Sequence.
    pub sequence: u64,
    /// Time of arrival.
    pub at: DateTime<Utc>,
    /// Headers.
    pub headers: Vec<(String, String)>,
}

/// Compares the three streams with their required configuration, in the order of [`STREAMS`]; `None` for a
/// missing one.
///
/// # Errors
/// [`Error::Refused`] if the server did not answer.
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

/// At most `most` consumers of a stream; `None` if the stream is missing.
///
/// # Errors
/// [`Error::Refused`] if the server did not answer.
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

/// At most `most` of the newest messages of a stream.
///
/// # Errors
/// [`Error::Refused`] if the server did not answer.
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
