//! How the things of a server are listed and shown: their path, their columns, their details.

use serde_json::Value;

use super::{Console, Query, segment};
use crate::failure::Failure;
use crate::output::{self, Column, cell, printable};

/// A kind of thing on the server.
#[derive(Debug)]
pub(super) struct Resource {
    /// Its name in messages and in the log (`session:<id>`).
    pub(super) noun: &'static str,
    /// Path of the collection.
    pub(super) path: &'static str,
    /// The field that holds the id.
    pub(super) id: &'static str,
    /// Describes the state in a word or two.
    pub(super) state: fn(&Value) -> String,
    /// Columns of a list.
    pub(super) columns: &'static [Column],
    /// Details of a single item; without any, it is printed as YAML.
    pub(super) facts: &'static [Column],
    /// Text for an empty list.
    pub(super) none: &'static str,
}

impl Resource {
    /// The path of one item.
    pub(super) fn at(&self, id: impl std::fmt::Display) -> String {
        format!("{}/{}", self.path, segment(&id.to_string()))
    }

    /// Prints a list.
    pub(super) async fn list(&self, console: &Console, query: Query, most: usize) -> Result<(), Failure> {
        let rows = console.client.list(self.path, &query, most).await?;
        if console.screen.quiet {
            rows.iter().for_each(|row| self.name(row));
            return Ok(());
        }
        console.screen.list(self.columns, &rows, self.none)
    }

    /// Fetches one item and prints it.
    pub(super) async fn get(&self, console: &Console, id: impl std::fmt::Display) -> Result<(), Failure> {
        let row = console.client.get(&self.at(id), &[]).await?;
        self.show(console, &row)
    }

    /// Prints one item.
    pub(super) fn show(&self, console: &Console, row: &Value) -> Result<(), Failure> {
        let screen = &console.screen;
        if screen.quiet {
            self.name(row);
        } else if !screen.machine(row)? {
            match self.facts {
                [] => output::line(serde_saphyr::to_string(row)?.trim_end()),
                facts => screen.facts(facts, row),
            }
        }
        Ok(())
    }

    /// Prints the id and the state of an item after a request changed it.
    pub(super) fn report(&self, console: &Console, row: &Value) -> Result<(), Failure> {
        let screen = &console.screen;
        if screen.quiet {
            self.name(row);
        } else if !screen.machine(row)? {
            output::line(printable(&format!("{}  {}", cell(row, self.id), (self.state)(row))));
        }
        Ok(())
    }

    /// Prints only the id.
    fn name(&self, row: &Value) {
        output::line(printable(&cell(row, self.id)));
    }
}
