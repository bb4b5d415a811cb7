//! What happens when the writer panics: nothing that it remembered is used again, and its callers are answered all the same.
//!
//! The queue outlives the panic. Whether the transaction under way was committed is read back first; if it was, its answers are given,
//! and every loop looks for what the panic kept from it. If not, its work is divided until the piece that panics is alone.

use sea_orm::DbErr;

use super::group::{Answers, Failed, Group};
use super::outcome::Witness;
use super::{known, room, turns};
use crate::signal::Signal;

/// A transaction whose commit was begun.
pub(super) struct Committing {
    pub(super) answers: Answers,
    /// PostgreSQL's number of it.
    pub(super) number: Option<String>,
    pub(super) witness: Option<Witness>,
}

impl Group {
    /// What became of the work over which the writer panicked.
    pub(super) async fn recover(&mut self, cause: String) -> Result<Answers, Failed> {
        tracing::error!(cause, "the writer panicked; what it remembered is read again");
        self.known = known::Known::default();
        self.load = room::Load::default();
        self.turns = turns::Turns::default();
        self.database.distrust();
        self.ended().await;
        let Some(Committing { answers, number, witness }) = self.committing.take() else {
            return Err(Failed::Panicked(cause));
        };
        let error = DbErr::Custom(cause.clone());
        match self.settle(number.as_deref(), witness, error).await {
            Ok(()) => {
                self.among.wakes.tell_everything();
                self.among.wakes.tell_others(Signal::ANYTHING);
                Ok(answers)
            }
            Err(_) => Err(Failed::Panicked(cause)),
        }
    }
}
