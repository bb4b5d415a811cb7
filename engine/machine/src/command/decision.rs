//! The decisions that the log names beside commands and reports.

use std::fmt;

/// A decision of a machine, as the log names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DecisionKind {
    /// What is attached to it was changed.
    Amended,
    /// It stopped by itself.
    BrokeDown,
    /// It was deleted before a controller had it.
    DeletedUnplaced,
    /// Its owner reports that it exists although it must not.
    ExistsAgain,
    /// Its next stop was postponed.
    Extended,
    /// A report carried a higher generation than the log knows, as after a restore from backup.
    GenerationRaised,
    /// It left its owner.
    Moved,
    /// Its owner takes work again.
    OwnerReady,
    /// Its controller was chosen.
    Placed,
    /// It runs although it counted as failed.
    Recovered,
    /// Its command is sent again after a lost stream.
    Redriven,
    /// The next attempt is made.
    Retry,
    /// The next attempt has a time.
    RetryArmed,
    /// The next attempt waits for a slot in its owner's retry budget.
    RetryDeferred,
    /// Its command is sent again after silence.
    SentAgain,
    /// It was uninstalled before a controller had it.
    UninstalledUnplaced,
    /// It waits, and its reason says for what.
    Waiting,
    /// The platform changed its state without a command.
    WorldMoved,
    /// It ended without its owner, which may still have something of it.
    WrittenOff,
}

impl DecisionKind {
    /// The spelling in the log, in subjects and in the results of dry runs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Amended => "amended",
            Self::BrokeDown => "broke_down",
            Self::DeletedUnplaced => "deleted_unplaced",
            Self::ExistsAgain => "exists_again",
            Self::Extended => "extended",
            Self::GenerationRaised => "generation_raised",
            Self::Moved => "moved",
            Self::OwnerReady => "owner_ready",
            Self::Placed => "placed",
            Self::Recovered => "recovered",
            Self::Redriven => "redriven",
            Self::Retry => "retry",
            Self::RetryArmed => "retry_armed",
            Self::RetryDeferred => "retry_deferred",
            Self::SentAgain => "sent_again",
            Self::UninstalledUnplaced => "uninstalled_unplaced",
            Self::Waiting => "waiting",
            Self::WorldMoved => "world_moved",
            Self::WrittenOff => "written_off",
        }
    }
}

impl fmt::Display for DecisionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
