//! Where a reader of the log stands: after which row.
//!
//! A position names a row, and reading goes on from that very row, which must still be there as it was. So a position from
//! another history (a backup was restored, a standby without the last commits took over) is noticed, and never becomes a gap.

use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

/// A row's place in the order of the feed. On PostgreSQL that is the transaction, then the id; on SQLite the id alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    pub(super) xact: i64,
    pub(super) id: i64,
    /// The end of the row's event id: random, so that another row with the same id is told apart.
    pub(super) witness: u32,
}

impl Position {
    /// Before the first row.
    pub const START: Self = Self { xact: 0, id: 0, witness: 0 };

    pub(super) fn of(xact: i64, id: i64, event_id: Uuid) -> Self {
        Self { xact, id, witness: event_id.as_u128() as u32 }
    }
}

/// The opaque text that readers give back.
impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}.{:x}.{:08x}", self.xact, self.id, self.witness)
    }
}

/// Not a position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is neither the id of an item of the feed nor an event_id")]
pub struct Unreadable;

impl FromStr for Position {
    type Err = Unreadable;

    fn from_str(text: &str) -> Result<Self, Unreadable> {
        let number = |part: Option<&str>| {
            let part = part.filter(|part| part.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)));
            i64::from_str_radix(part.ok_or(Unreadable)?, 16).map_err(|_| Unreadable)
        };
        let mut parts = text.split('.');
        let (xact, id, witness) = (number(parts.next())?, number(parts.next())?, number(parts.next())?);
        let witness = u32::try_from(witness).map_err(|_| Unreadable)?;
        if parts.next().is_some() || id == 0 && (xact, witness) != (0, 0) {
            return Err(Unreadable);
        }
        Ok(Self { xact, id, witness })
    }
}

/// Where a watcher wants to begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum After {
    /// After this row.
    Position(Position),
    /// After the row with this event id; after the first, where several share it.
    Event(Uuid),
}

impl FromStr for After {
    type Err = Unreadable;

    fn from_str(text: &str) -> Result<Self, Unreadable> {
        if text == "0" {
            return Ok(Self::Position(Position::START));
        }
        let event = || Uuid::try_parse(text).map(Self::Event).map_err(|_| Unreadable);
        text.parse().map(Self::Position).or_else(|_| event())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_read_back_and_nothing_else_is() {
        let position = Position::of(77, 12, Uuid::from_u128(0xabc));
        assert_eq!(position.to_string().parse(), Ok(position));
        assert_eq!("0".parse(), Ok(After::Position(Position::START)));
        assert_eq!(Position::START.to_string().parse(), Ok(Position::START));
        for text in ["", ".", "1.2", "1.2.3.4", "-1.2.3", "+1.2.3", "1.0.3", "1.2.fffffffff", "yesterday", "1 .2.3"] {
            assert_eq!(text.parse::<After>(), Err(Unreadable), "{text}");
        }
    }

    #[test]
    fn transactions_come_before_ids() {
        let at = |xact, id| Position { xact, id, witness: 0 };
        assert!(at(1, 9) < at(2, 1) && at(2, 1) < at(2, 2) && Position::START < at(0, 1));
    }
}
