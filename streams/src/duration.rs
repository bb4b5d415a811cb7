//! Durations as people write them: `90s`, `30m`, `1h30m`.

use std::time::Duration;

/// The longest duration that is accepted: a year.
pub const MAX: Duration = Duration::from_secs(365 * 24 * 3600);

/// An invalid duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a duration between 1s and 365d, such as 90s, 30m or 1h30m")]
pub struct Error(String);

/// Parses a duration of at least one second and at most [`MAX`].
///
/// # Errors
/// The text is not a duration, or out of range.
pub fn parse(text: &str) -> Result<Duration, Error> {
    humantime::parse_duration(text)
        .ok()
        .filter(|duration| (Duration::from_secs(1)..=MAX).contains(duration))
        .ok_or_else(|| Error(crate::limits::shorten(text, 64).into_owned()))
}

/// Formats a duration as [`parse`] reads it, without spaces.
#[must_use]
pub fn format(duration: Duration) -> String {
    humantime::format_duration(duration).to_string().replace(' ', "")
}
