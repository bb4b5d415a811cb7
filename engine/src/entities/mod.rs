//! The nouns: what has a table and a log of its own. One folder each, with all that is particular to it.
//!
//! [`Noun`] is what the rest of the engine asks of a noun, and the list at the end of this file is the only one: from it follow
//! the order of locks, the scan of `verify`, and repair. A noun that leaves a part out does not compile.

pub mod application;
pub mod cleanup;
pub(crate) mod commanded;
pub mod controller;
pub mod dead_letter;
pub mod job;
pub mod session;
mod statements;
pub mod template;

use std::fmt::Display;
use std::str::FromStr;

use sea_orm::{DatabaseTransaction, DbBackend, DbErr, EntityTrait, IntoActiveModel, Select, TryGetable};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::writer::{Batch, Job, Needs};

pub(crate) use statements::{Insert, Update, locked, replace};

/// What a noun says about itself.
pub(crate) trait Noun:
    EntityTrait<
        Model: Serialize + DeserializeOwned + IntoActiveModel<<Self as EntityTrait>::ActiveModel> + Send + Sync,
        ActiveModel: Send,
    >
{
    /// What its entities in `event_log` begin with.
    const NAME: &'static str;
    /// The key of a row, as SQL has it.
    type Key: FromStr + Display + TryGetable + Into<sea_orm::Value> + Send;
    /// The column of the key.
    const KEY: Self::Column;
    /// Where a row believes its log to end.
    const ENTITY_SEQ: Self::Column;
    /// Columns that are written with a new row and never by the usual update.
    const FIXED: &'static [Self::Column] = &[];
    /// A row has a log from its first moment on; else from the first decision about it, and has 0 for [`Self::ENTITY_SEQ`] before.
    const LOGGED_FROM_BIRTH: bool = true;

    /// The rows as they are compared with the log: all columns but those that are too big and no facts.
    fn compared(_backend: DbBackend) -> Select<Self> {
        Self::find()
    }

    /// Asks for the row to be read and locked.
    fn need(needs: &mut Needs, key: Self::Key);

    /// Reads and locks the rows that are needed, in the order of their keys.
    fn lock(
        batch: &mut Batch<'_>,
        tx: &DatabaseTransaction,
        needs: &mut Needs,
        jobs: &[Job],
    ) -> impl Future<Output = Result<(), DbErr>> + Send;

    /// The row in a transaction.
    fn row<'b>(batch: &'b mut Batch<'_>, key: &Self::Key) -> Option<&'b mut Self::Model>;

    /// Sets anew what follows from the facts and is not logged.
    fn derive(_row: &mut Self::Model, _now_ms: i64) {}

    /// A repair changed the row: it is to be written, every column of it.
    fn repaired(batch: &mut Batch<'_>, key: &Self::Key);
}

/// A variant of [`Kind`] and a folder for each noun, in the order in which their rows are locked. A new noun comes last, or
/// engines of two versions that run side by side could deadlock.
macro_rules! nouns {
    ($then:ident $args:tt) => {
        $crate::entities::$then! { $args
            Session session,
            Application application,
            Cleanup cleanup,
            Controller controller,
            Template template,
            DeadLetter dead_letter,
            Job job,
        }
    };
}
pub(crate) use nouns;

macro_rules! kinds {
    (() $($kind:ident $folder:ident,)*) => {
        /// Which noun.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Kind {
            $($kind,)*
        }

        impl Kind {
            /// All of them, in the order in which their rows are locked.
            pub(crate) const ALL: &'static [Self] = &[$(Self::$kind),*];

            /// What an entity of `event_log` begins with.
            pub(crate) const fn name(self) -> &'static str {
                match self {
                    $(Self::$kind => <$folder::Entity as Noun>::NAME,)*
                }
            }
        }
    };
}
pub(crate) use kinds;

/// What an expression gives for the table of a kind.
macro_rules! of_kind {
    (($of:expr, $table:ident, $expr:expr) $($kind:ident $folder:ident,)*) => {
        match $of {
            $($crate::entities::Kind::$kind => {
                type $table = $crate::entities::$folder::Entity;
                $expr
            })*
        }
    };
}
pub(crate) use of_kind;

nouns!(kinds());

impl Kind {
    /// The kind of an entity of `event_log`; `None`: it has no table.
    pub(crate) fn of(entity: &str) -> Option<Self> {
        let (name, _) = entity.split_once(':')?;
        Self::named(name)
    }

    /// The kind of this name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.name() == name)
    }

    /// The next one of the list.
    pub(crate) fn next(self) -> Option<Self> {
        let place = Self::ALL.iter().position(|kind| *kind == self)?;
        Self::ALL.get(place + 1).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_version_of_the_engine_locks_rows_in_this_order() {
        let order: Vec<_> = Kind::ALL.iter().map(|kind| kind.name()).collect();
        let first = ["session", "application", "debt", "controller", "template", "dead_letter", "job"];
        assert_eq!(order[..first.len()], first, "what was locked first stays first: a new noun comes last");
    }
}
