//! Whether a stream is older than it was: of an epoch before the one that the tables refer to, or of that epoch and ending before
//! what the tables, or this engine, have seen of it.
//!
//! A stream that is purged keeps its last sequence, and what is known is read before the stream is, so nothing that is well looks
//! so. A server that has just been chosen as a stream's leader may tell less than it has for a moment, so it is asked twice; and not
//! much later, because what goes on makes an older stream reach where it was.

use std::collections::HashMap;
use std::time::Duration;

use migrations::connect::Database;
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbBackend, DbErr, Statement, TransactionTrait};
use streams::topology::{SS_COMMANDS, SS_REPORTS, StreamState};

use super::Survey;

/// How late a stream's leader may be to tell what it has.
pub(super) const LATE: Duration = Duration::from_millis(250);
/// The advisory lock of whoever makes streams anew: the letters "strmanew" as a number.
const LOCK: i64 = 0x7374_726d_616e_6577;

/// What this engine saw of the streams.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    /// Epoch and last sequence of each.
    seen: HashMap<&'static str, (i64, u64)>,
}

impl Memory {
    /// A stream of commands or reports that is older than it was. The dead-letter stream may be: no fence knows its sequences.
    pub(super) fn older(&self, survey: &Survey) -> Option<&'static str> {
        let mut fenced = survey.states.iter().filter(|state| [SS_COMMANDS, SS_REPORTS].contains(&state.name));
        fenced.find(|state| self.is_older(survey, state)).map(|state| state.name)
    }

    fn is_older(&self, survey: &Survey, state: &StreamState) -> bool {
        let table = (survey.epoch(state.name), survey.ends.get(state.name).copied().unwrap_or(0));
        let seen = self.seen.get(state.name).copied().unwrap_or_default();
        (state.epoch, state.last_seq) < table.max(seen)
    }

    /// Takes the streams for what they must be from now on.
    pub(super) fn note(&mut self, survey: &Survey) {
        self.seen = survey.states.iter().map(|state| (state.name, (state.epoch, state.last_seq))).collect();
    }

    /// The newest epoch that was seen.
    pub(super) fn epoch(&self) -> i64 {
        self.seen.values().map(|(epoch, _)| *epoch).max().unwrap_or(0)
    }
}

/// The right to make streams anew, which one engine has at a time.
pub(super) struct Turn(Option<DatabaseTransaction>);

impl Turn {
    pub(super) async fn end(self) -> Result<(), DbErr> {
        match self.0 {
            Some(held) => held.rollback().await,
            None => Ok(()),
        }
    }
}

/// Takes that right; `None` where another engine has it. One process owns a SQLite file, so there it is always free.
pub(super) async fn turn(database: &Database) -> Result<Option<Turn>, DbErr> {
    if database.backend != DbBackend::Postgres {
        return Ok(Some(Turn(None)));
    }
    let held = database.reader.begin().await?;
    let take =
        Statement::from_sql_and_values(database.backend, "SELECT pg_try_advisory_xact_lock($1) AS got", [LOCK.into()]);
    let row = held.query_one_raw(take).await?;
    let got = row.map_or(Ok(false), |row| row.try_get("", "got"))?;
    Ok(got.then_some(Turn(Some(held))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn survey(table: (i64, u64), stream: (i64, u64)) -> Survey {
        let state = StreamState {
            name: SS_REPORTS,
            epoch: stream.0,
            created: false,
            first_seq: 1,
            last_seq: stream.1,
            messages: 0,
            max_messages: 0,
            bytes: 0,
            max_bytes: 0,
            max_message_bytes: -1,
            created_at: chrono::DateTime::UNIX_EPOCH,
        };
        let epochs = HashMap::from([(SS_REPORTS.to_owned(), table.0)]);
        Survey { epochs, ends: HashMap::from([(SS_REPORTS, table.1)]), states: vec![state] }
    }

    #[test]
    fn a_stream_is_older_by_the_tables_or_by_what_was_seen_of_it() {
        let older = |memory: &mut Memory, table, stream| {
            let survey = survey(table, stream);
            let older = memory.older(&survey).is_some();
            if !older {
                memory.note(&survey);
            }
            older
        };
        let mut memory = Memory::default();
        assert!(!older(&mut memory, (0, 0), (1, 0)), "the first of all");
        assert!(!older(&mut memory, (1, 7), (1, 7)), "just what is known");
        assert!(older(&mut memory, (1, 8), (1, 7)), "less than the tables know");
        assert!(older(&mut memory, (3, 0), (1, 900)), "of an epoch that is over");
        assert!(!older(&mut memory, (1, 8), (2, 0)), "lost and made anew");
        assert!(!older(&mut memory, (2, 0), (2, 50)), "it grows");
        assert!(older(&mut memory, (2, 0), (2, 49)), "less than was seen");
        assert!(!older(&mut memory, (2, 0), (2, 50)), "and it was only late to tell");
    }
}
