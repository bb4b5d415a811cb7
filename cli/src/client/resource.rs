//! The one shape of what a server lists and shows: where it is, which columns it has, what is said of one.

use serde_json::Value;

use super::{Console, Query, segment};
use crate::failure::Failure;
use crate::output::{self, Column, cell, printable};

/// A kind of thing that a server has.
#[derive(Debug)]
pub(super) struct Resource {
    /// What one is called, here and in the log: `session:<id>`.
    pub(super) noun: &'static str,
    /// Where they are.
    pub(super) path: &'static str,
    /// The field that names one.
    pub(super) id: &'static str,
    /// The state of one, in a word or two.
    pub(super) state: fn(&Value) -> String,
    /// What a list shows.
    pub(super) columns: &'static [Column],
    /// What is shown of one; without any it is shown as YAML.
    pub(super) facts: &'static [Column],
    /// What a list says when there are none.
    pub(super) none: &'static str,
}

impl Resource {
    /// The path of one.
    pub(super) fn at(&self, id: impl std::fmt::Display) -> String {
        format!("{}/{}", self.path, segment(&id.to_string()))
    }

    /// Lists them.
    pub(super) async fn list(&self, console: &Console, query: Query, most: usize) -> Result<(), Failure> {
        let rows = console.client.list(self.path, &query, most).await?;
        if console.screen.quiet {
            rows.iter().for_each(|row| self.name(row));
            return Ok(());
        }
        console.screen.list(self.columns, &rows, self.none)
    }

    /// Reads one and shows it.
    pub(super) async fn get(&self, console: &Console, id: impl std::fmt::Display) -> Result<(), Failure> {
        let row = console.client.get(&self.at(id), &[]).await?;
        self.show(console, &row)
    }

    /// Shows one.
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

    /// Says what became of one after something was asked of it: its id and its state.
    pub(super) fn tell(&self, console: &Console, row: &Value) -> Result<(), Failure> {
        let screen = &console.screen;
        if screen.quiet {
            self.name(row);
        } else if !screen.machine(row)? {
            output::line(printable(&format!("{}  {}", cell(row, self.id), (self.state)(row))));
        }
        Ok(())
    }

    /// Writes the id of one, and nothing else.
    fn name(&self, row: &Value) {
        output::line(printable(&cell(row, self.id)));
    }
}
