//! Facts by the names of their columns: what the log remembers of an entity, and what a decision changed of it.
//!
//! [`facts!`] lists every field of an entity as hard (logged and folded) or soft (neither), so that a field in neither list does
//! not compile. The columns of an open command are listed once, in [`crate::command::CommandState`].

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value, json};

/// Takes the columns of an entity one at a time.
pub trait Columns {
    /// Why it could not take one.
    type Error;

    /// A hard column, now and before.
    ///
    /// # Errors
    /// Why it could not be taken; the rest is then left out.
    fn column<T: Serialize + PartialEq>(&mut self, name: &'static str, now: &T, before: &T) -> Result<(), Self::Error>;
}

/// The facts of an entity.
pub trait Facts: Sized {
    /// The columns that are neither logged nor folded.
    const SOFT: &'static [&'static str];

    /// Goes over the hard columns.
    ///
    /// # Errors
    /// That of `to`.
    fn columns<C: Columns>(&self, before: &Self, to: &mut C) -> Result<(), C::Error>;

    /// The facts that are logged and folded, by the names of their columns.
    #[must_use]
    fn hard(&self) -> Map<String, Value> {
        let mut all = All(Map::new());
        let Ok(()) = self.columns(self, &mut all);
        all.0
    }

    /// The same, written as JSON without a tree in between.
    #[must_use]
    fn hard_facts(&self) -> impl Serialize {
        HardFacts(self)
    }

    /// Those that are not as they were, with their new values. Only these become JSON.
    #[must_use]
    fn difference(&self, before: &Self) -> Map<String, Value> {
        let mut changed = Changed(Map::new());
        let Ok(()) = self.columns(before, &mut changed);
        changed.0
    }
}

struct All(Map<String, Value>);

impl Columns for All {
    type Error = std::convert::Infallible;

    fn column<T: Serialize + PartialEq>(&mut self, name: &'static str, now: &T, _: &T) -> Result<(), Self::Error> {
        self.0.insert(name.to_owned(), json!(now));
        Ok(())
    }
}

struct Changed(Map<String, Value>);

impl Columns for Changed {
    type Error = std::convert::Infallible;

    fn column<T: Serialize + PartialEq>(&mut self, name: &'static str, now: &T, before: &T) -> Result<(), Self::Error> {
        if now != before {
            self.0.insert(name.to_owned(), json!(now));
        }
        Ok(())
    }
}

struct HardFacts<'a, F>(&'a F);

impl<F: Facts> Serialize for HardFacts<'_, F> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = Entries(serializer.serialize_map(None)?);
        self.0.columns(self.0, &mut map)?;
        map.0.end()
    }
}

struct Entries<M>(M);

impl<M: SerializeMap> Columns for Entries<M> {
    type Error = M::Error;

    fn column<T: Serialize + PartialEq>(&mut self, name: &'static str, now: &T, _: &T) -> Result<(), M::Error> {
        self.0.serialize_entry(name, now)
    }
}

/// Which fields of an entity are hard, and which are soft, besides those of its open command; `field => "column"` where the column
/// has another name. The open command's message is in the column that `message` names.
macro_rules! facts {
    ($entity:ident: hard [$($hard:ident $(=> $column:literal)?),* $(,)?], message $message:literal, soft [$($soft:ident),* $(,)?]) => {
        impl $crate::facts::Facts for $entity {
            const SOFT: &'static [&'static str] = &["deadline_ms" $(, stringify!($soft))*];

            fn columns<C: $crate::facts::Columns>(&self, before: &Self, to: &mut C) -> Result<(), C::Error> {
                let Self { $($hard,)* command, $($soft: _,)* } = self;
                $(to.column($crate::facts::name!($hard $($column)?), $hard, &before.$hard)?;)*
                command.columns(&before.command, $message, to)
            }
        }
    };
}
pub(crate) use facts;

macro_rules! name {
    ($field:ident) => {
        stringify!($field)
    };
    ($field:ident $column:literal) => {
        $column
    };
}
pub(crate) use name;
