//! Makes room in the dead-letter stream. It keeps letters after they were read, as their public copy, and so it
//! fills up. The table is the record, so the oldest recorded letters are removed when space gets tight;
//! unrecorded ones stay.

use async_nats::jetstream::Context;

use super::{ENGINE, Error, SS_DLQ, StreamState, bind_engine_consumer, incarnation, refused};

/// Fill above which letters are removed.
const TIGHT: f64 = 0.75;

/// Removes the older half of the recorded letters if the dead-letter stream is almost full; returns how many.
///
/// # Errors
/// [`Error::Refused`] if the server did not answer.
pub async fn make_room(context: &Context) -> Result<u64, Error> {
    let Some(state) = incarnation(context, SS_DLQ).await?.filter(|state| state.fullness() >= TIGHT) else {
        return Ok(0);
    };
    let Some(consumer) = bind_engine_consumer(context, SS_DLQ).await? else { return Ok(0) };
    let Some(until) = goes_before(&state, consumer.cached_info().ack_floor.stream_sequence) else { return Ok(0) };
    let what = || format!("making room in {SS_DLQ}");
    let stream = context.get_stream_no_info(SS_DLQ).await.map_err(|error| refused(what(), error))?;
    let purged = stream.purge().sequence(until).await.map_err(|error| refused(what(), error))?.purged;
    tracing::info!(
        stream = SS_DLQ,
        consumer = ENGINE,
        messages = purged,
        "removed the oldest recorded letters to make room"
    );
    Ok(purged)
}

/// The sequence before which letters are removed. All up to `recorded` were acknowledged, so they are in the table.
fn goes_before(state: &StreamState, recorded: u64) -> Option<u64> {
    let oldest = state.first_seq.max(1);
    (recorded >= oldest).then(|| oldest + (recorded - oldest) / 2 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_older_half_of_what_was_recorded_goes_and_nothing_else() {
        let state = |first_seq| StreamState {
            name: SS_DLQ,
            epoch: 1,
            created: false,
            first_seq,
            last_seq: 100,
            messages: 100,
            max_messages: 100,
            bytes: 0,
            max_bytes: 0,
            max_message_bytes: -1,
            created_at: chrono::DateTime::UNIX_EPOCH,
        };
        assert_eq!(goes_before(&state(1), 100), Some(51));
        assert_eq!(goes_before(&state(41), 41), Some(42), "the only one");
        assert_eq!(goes_before(&state(41), 40), None, "none of them is recorded");
        assert_eq!(goes_before(&state(1), 0), None);
    }
}
