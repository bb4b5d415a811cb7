//! Points in time as people write them: `2026-11-30T10:00:00Z`, `2026-11-30`, or an age such as `10m`.

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, Utc};

use crate::duration;

/// A point in time, absolute or as an age.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// An absolute time.
    At(DateTime<Utc>),
    /// Milliseconds before the time of the request.
    Ago(i64),
}

/// An invalid point in time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a time: write 2026-11-30T10:00:00Z, or 2026-11-30, or an age such as 10m")]
pub struct Error(String);

/// Formats without a zone are UTC, in which times are also shown.
const WITHOUT_ZONE: [&str; 4] = ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d %H:%M"];

/// Parses a time (RFC 3339), a date (its first moment in UTC), or an age.
///
/// # Errors
/// The text is none of them.
pub fn parse(text: &str) -> Result<Moment, Error> {
    if let Ok(at) = DateTime::parse_from_rfc3339(text) {
        return Ok(Moment::At(at.to_utc()));
    }
    let midnight = || text.parse::<NaiveDate>().ok().map(|date| date.and_time(NaiveTime::MIN));
    let mut without = WITHOUT_ZONE.iter().filter_map(|format| NaiveDateTime::parse_from_str(text, format).ok());
    if let Some(at) = midnight().or_else(|| without.next()) {
        return Ok(Moment::At(at.and_utc()));
    }
    let ago = duration::parse(text).map_err(|_| Error(text.chars().take(64).collect()))?;
    Ok(Moment::Ago(i64::try_from(ago.as_millis()).unwrap_or(i64::MAX)))
}

impl Moment {
    /// Milliseconds since the epoch, for a request at `now`.
    #[must_use]
    pub fn ms(self, now: DateTime<Utc>) -> i64 {
        match self {
            Self::At(at) => at.timestamp_millis(),
            Self::Ago(ms) => now.timestamp_millis().saturating_sub(ms),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // in tests a panic is the answer
mod tests {
    use super::*;

    #[test]
    fn times_dates_and_how_long_ago_are_read() {
        let now = DateTime::from_timestamp_millis(1_800_000_000_000).unwrap();
        for (text, ms) in [
            ("2026-11-30T10:00:00Z", 1_796_032_800_000),
            ("2026-11-30T11:00:00+01:00", 1_796_032_800_000),
            ("2026-11-30T10:00:00.250Z", 1_796_032_800_250),
            ("2026-11-30T10:00", 1_796_032_800_000),
            ("2026-11-30 10:00:00", 1_796_032_800_000),
            ("2026-11-30", 1_795_996_800_000),
            ("10m", 1_800_000_000_000 - 600_000),
            ("1h30m", 1_800_000_000_000 - 5_400_000),
        ] {
            assert_eq!(parse(text).map(|moment| moment.ms(now)), Ok(ms), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_refused_with_what_is_one() {
        for text in ["", "yesterday", "10", "-10m", "2026-13-01", "2026-11-30T25:00:00Z", "10m ago", "é"] {
            let why = parse(text).unwrap_err().to_string();
            assert!(why.contains("2026-11-30") && why.contains("10m"), "{why}");
        }
    }
}
