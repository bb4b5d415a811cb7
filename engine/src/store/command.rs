//! The columns of an open command, which several tables have: mapped once to and from [`CommandState`].

use machine::Lane;
use machine::command::CommandState;
use sea_orm::entity::prelude::Json;

/// A value that no version of this engine wrote.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{table}.{column} of {key} holds {value:?}, which this version does not know")]
pub struct Unreadable {
    /// The table.
    pub table: &'static str,
    /// The column.
    pub column: &'static str,
    /// The row's key.
    pub key: String,
    /// What it holds.
    pub value: String,
}

/// A row with the columns of an open command.
pub(crate) trait CommandColumns {
    /// The open command; an error has the text of `failures` that is not readable.
    fn command(&self) -> Result<CommandState, String>;

    /// Stores the open command in its columns.
    fn set_command(&mut self, state: CommandState);
}

/// The column of an owner: rows that always have one cannot lose it.
pub(crate) trait OwnerColumn {
    fn owner(&self) -> Option<String>;
    fn set_owner(&mut self, owner: Option<String>);
}

impl OwnerColumn for Option<String> {
    fn owner(&self) -> Option<String> {
        self.clone()
    }

    fn set_owner(&mut self, owner: Option<String>) {
        *self = owner;
    }
}

impl OwnerColumn for String {
    fn owner(&self) -> Option<String> {
        Some(self.clone())
    }

    fn set_owner(&mut self, owner: Option<String>) {
        if let Some(owner) = owner {
            *self = owner;
        }
    }
}

/// Reads `failures`.
pub(crate) fn failures(json: &Json) -> Result<Vec<machine::command::Attempt>, String> {
    serde::Deserialize::deserialize(json).map_err(|_| json.to_string())
}

pub(crate) fn lane(name: Option<&str>) -> Option<Lane> {
    name.and_then(Lane::from_name)
}

/// Implements [`CommandColumns`] for a row; `$message` is the name of its column for the owner's message.
macro_rules! command_columns {
    ($row:ty, $message:ident) => {
        impl $crate::store::command::CommandColumns for $row {
            fn command(&self) -> Result<machine::command::CommandState, String> {
                use $crate::store::command::OwnerColumn as _;
                Ok(machine::command::CommandState {
                    generation: self.generation,
                    controller_id: self.controller_id.owner(),
                    lane: $crate::store::command::lane(self.lane.as_deref()),
                    reason: self.reason.clone(),
                    message: self.$message.clone(),
                    id: self.command_id,
                    verb: self.command_verb.clone(),
                    attempt: self.attempt,
                    starts: self.starts,
                    starter: self.starter,
                    next_attempt_ms: self.next_attempt_ms,
                    in_turn: self.in_turn,
                    deadline_ms: self.deadline_ms,
                    failures: $crate::store::command::failures(&self.failures)?,
                    seen_generation: self.seen_generation,
                    seen_epoch: self.seen_epoch,
                    seen_seq: self.seen_seq,
                })
            }

            fn set_command(&mut self, state: machine::command::CommandState) {
                use $crate::store::command::OwnerColumn as _;
                #[rustfmt::skip]
                let machine::command::CommandState {
                    generation, controller_id, lane, reason, message, id, verb, attempt, starts, starter, next_attempt_ms,
                    in_turn, deadline_ms, failures, seen_generation, seen_epoch, seen_seq,
                } = state;
                self.controller_id.set_owner(controller_id);
                self.lane = lane.map(|lane| lane.as_str().to_owned());
                (self.generation, self.reason, self.$message) = (generation, reason, message);
                (self.command_id, self.command_verb, self.attempt) = (id, verb, attempt);
                (self.starts, self.starter) = (starts, starter);
                (self.next_attempt_ms, self.in_turn, self.deadline_ms) = (next_attempt_ms, in_turn, deadline_ms);
                self.failures = serde_json::to_value(failures).unwrap_or_default();
                self.seen_generation = seen_generation;
                (self.seen_epoch, self.seen_seq) = (seen_epoch, seen_seq);
            }
        }
    };
}
pub(crate) use command_columns;
