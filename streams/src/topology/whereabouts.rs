//! The delivery state of a published command, asked of JetStream for people; nothing depends on it.

use async_nats::jetstream::Context;

use super::{Error, SS_COMMANDS, consumers, holds, incarnation};

/// The delivery state of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whereabouts {
    /// In the stream, not delivered to its controller yet.
    Queued,
    /// Delivered to its controller, not acknowledged.
    HandedOut,
    /// Acknowledged, and so removed from the stream.
    Acknowledged,
    /// In the stream, but its controller has no consumer.
    Unserved,
    /// Lost with the stream that it was published to.
    Lost,
}

/// The delivery state of the message with this sequence and epoch in the command stream.
///
/// # Errors
/// [`Error::Refused`] if the server did not answer, so that it is unknown.
pub async fn whereabouts(context: &Context, consumer: &str, epoch: i64, sequence: u64) -> Result<Whereabouts, Error> {
    let stream = incarnation(context, SS_COMMANDS).await?;
    if stream.is_none_or(|stream| stream.epoch != epoch) {
        return Ok(Whereabouts::Lost);
    }
    // The consumer is read first, so that a message that is delivered and acknowledged meanwhile does not count
    // as queued.
    let consumer = consumers::bind(context, SS_COMMANDS, consumer).await?;
    if !holds(context, SS_COMMANDS, sequence).await? {
        return Ok(Whereabouts::Acknowledged);
    }
    let Some(consumer) = consumer else { return Ok(Whereabouts::Unserved) };
    let reached = consumer.cached_info().delivered.stream_sequence >= sequence;
    Ok(if reached { Whereabouts::HandedOut } else { Whereabouts::Queued })
}
