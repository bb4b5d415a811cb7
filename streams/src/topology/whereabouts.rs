//! Where a command is that was published: asked of JetStream when somebody wants to know, and never relied on.

use async_nats::jetstream::Context;

use super::{Error, SS_COMMANDS, consumers, holds, incarnation};

/// Where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whereabouts {
    /// In the stream; its controller has not been given it yet.
    Queued,
    /// In the stream; its controller was given it, and has not acknowledged it.
    HandedOut,
    /// Acknowledged: the stream does not have it any more.
    Acknowledged,
    /// In the stream, but there is no consumer that could be given it.
    Unserved,
    /// Gone with the stream that it was published to.
    Lost,
}

/// Where the message is that got this sequence in this epoch of the command stream.
///
/// # Errors
/// [`Error::Refused`] where the server did not answer: then nobody knows.
pub async fn whereabouts(context: &Context, consumer: &str, epoch: i64, sequence: u64) -> Result<Whereabouts, Error> {
    let stream = incarnation(context, SS_COMMANDS).await?;
    if stream.is_none_or(|stream| stream.epoch != epoch) {
        return Ok(Whereabouts::Lost);
    }
    // The consumer is asked first: what is handed out and acknowledged meanwhile is then not taken for queued.
    let consumer = consumers::bind(context, SS_COMMANDS, consumer).await?;
    if !holds(context, SS_COMMANDS, sequence).await? {
        return Ok(Whereabouts::Acknowledged);
    }
    let Some(consumer) = consumer else { return Ok(Whereabouts::Unserved) };
    let reached = consumer.cached_info().delivered.stream_sequence >= sequence;
    Ok(if reached { Whereabouts::HandedOut } else { Whereabouts::Queued })
}
