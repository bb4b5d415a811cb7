//! The last turn of each user, from which the next one follows (see `machine::turn`).
//!
//! It is kept in memory and by each engine for itself: what is lost with a restart is only that a crowd had its share.

use std::collections::HashMap;

use machine::turn;
use streams::subject::Verb;

/// Users above which those are forgotten whose next turn is due at once anyway.
const MANY: usize = 1_024;

#[derive(Debug, Default)]
pub(super) struct Turns {
    last: HashMap<String, i64>,
    many: usize,
}

impl Turns {
    /// The turn of a user's command, in milliseconds since the epoch.
    pub(super) fn take(&mut self, user_id: &str, verb: Verb, now_ms: i64) -> i64 {
        if matches!(verb, Verb::SessionDelete | Verb::SessionHibernate | Verb::AppUninstall) {
            return turn::urgent(now_ms);
        }
        let next = turn::next(self.last.get(user_id).copied(), now_ms);
        if self.last.len() > self.many.max(MANY) {
            self.last.retain(|_, last| *last + turn::SPACING_MS > now_ms);
            self.many = 2 * self.last.len();
        }
        self.last.insert(user_id.to_owned(), next);
        next
    }
}
