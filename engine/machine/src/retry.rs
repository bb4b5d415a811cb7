//! Delays between attempts, and when to give up.
//!
//! Exponential back-off with proportional jitter: 1 s, doubling, at most 5 min, 10 retries.

/// Retries after the first attempt.
pub const MAX_RETRIES: i32 = 10;
/// Delay before the first retry, in milliseconds.
pub const FIRST_DELAY_MS: i64 = 1_000;
/// Maximum delay, in milliseconds.
pub const MAX_DELAY_MS: i64 = 300_000;
/// Maximum share of the delay that jitter adds.
pub const JITTER: f64 = 0.2;

/// Milliseconds until the attempt after `attempt` (counted from 1), or `None` if the retries are used up.
#[must_use]
pub fn delay_ms(attempt: i32, jitter: f64) -> Option<i64> {
    if attempt > MAX_RETRIES {
        return None;
    }
    let doublings = u32::try_from(attempt - 1).unwrap_or(0).min(20);
    let base = FIRST_DELAY_MS.saturating_mul(1 << doublings).min(MAX_DELAY_MS);
    Some(base + (base as f64 * JITTER * jitter.clamp(0.0, 1.0)) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_from_one_second_to_five_minutes_and_end_after_ten_retries() {
        let delays: Vec<_> = (1..=11).map(|attempt| delay_ms(attempt, 0.0)).collect();
        let seconds = [1, 2, 4, 8, 16, 32, 64, 128, 256, 300].map(|s| Some(s * 1000));
        assert_eq!(delays[..10], seconds);
        assert_eq!(delays[10], None);
    }

    #[test]
    fn jitter_only_ever_adds_and_at_most_a_fifth() {
        for attempt in 1..=10 {
            let (low, high) = (delay_ms(attempt, 0.0).unwrap_or(0), delay_ms(attempt, 1.0).unwrap_or(0));
            assert!(high > low && high <= low + low / 5 + 1);
        }
    }
}
