//! What time does to a session besides deadlines: retries, and the stops that `idleness` knows.

use super::Step;
use crate::command::Commanded as _;

impl Step<'_> {
    pub(super) fn tick(&mut self) {
        self.retry_if_due();
        self.look_at_stops();
    }
}
