//! The only place that writes to stdout, and the only one that prints failures.
//!
//! Answers go to stdout, everything else to stderr. Text from a server ends up on a terminal, so control
//! characters in it are replaced. A reader that has closed the pipe (`| head`) is not an error.

mod colour;
mod progress;
mod table;

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use chrono::Utc;
use clap::ValueEnum;
use serde_json::Value;

pub(crate) use colour::When;
pub(crate) use progress::Progress;
pub(crate) use table::Column;

use crate::failure::{Failure, Kind};

/// Help heading of the options that every command takes.
pub(crate) const GLOBAL: &str = "Global options";

/// Output format.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    #[default]
    Table,
    /// Every column, nothing cut.
    Wide,
    /// For programs.
    Json,
    /// For files.
    Yaml,
}

/// Options about output, shared by all commands.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct OutputOptions {
    /// Output format: table, wide (every column, nothing cut), json or yaml
    #[arg(
        long,
        short,
        global = true,
        value_enum,
        default_value_t,
        value_name = "FORMAT",
        hide_possible_values = true,
        help_heading = GLOBAL
    )]
    output: Format,
    /// Print ids only
    #[arg(long, short, global = true, help_heading = GLOBAL)]
    quiet: bool,
    /// When to use colour: auto (on a terminal; respects NO_COLOR and CLICOLOR_FORCE), always or never
    #[arg(
        long,
        global = true,
        value_enum,
        default_value_t,
        value_name = "WHEN",
        hide_possible_values = true,
        help_heading = GLOBAL
    )]
    color: When,
    /// Show details of a failure: the request, and the complete answer
    #[arg(long, short, global = true, help_heading = GLOBAL)]
    verbose: bool,
}

/// Output settings of this run, from flags, environment and the kind of the streams.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Screen {
    pub(crate) format: Format,
    pub(crate) quiet: bool,
    verbose: bool,
    /// Columns of the terminal; `None` if stdout is not one.
    width: Option<usize>,
    colour: bool,
    colour_err: bool,
    /// Whether stderr is a terminal, for spinners.
    live: bool,
}

impl From<OutputOptions> for Screen {
    fn from(options: OutputOptions) -> Self {
        let stdout = io::stdout();
        let size = terminal_size::terminal_size_of(&stdout).filter(|_| stdout.is_terminal());
        Self {
            format: options.output,
            quiet: options.quiet,
            verbose: options.verbose,
            // Terminals of unknown size report 0.
            width: size.map(|(width, _)| usize::from(width.0)).filter(|width| *width > 0),
            colour: options.color.applies(&stdout),
            colour_err: options.color.applies(&io::stderr()),
            live: io::stderr().is_terminal(),
        }
    }
}

impl Screen {
    /// Whether the format is for people and not for programs.
    pub(crate) fn for_people(&self) -> bool {
        matches!(self.format, Format::Table | Format::Wide)
    }

    /// Prints a value as JSON or YAML; returns false if the format is for people and the caller has to print it.
    pub(crate) fn machine(&self, value: &Value) -> Result<bool, Failure> {
        match self.format {
            Format::Table | Format::Wide => return Ok(false),
            Format::Json => line(serde_json::to_string_pretty(value)?),
            Format::Yaml => line(serde_saphyr::to_string(value)?.trim_end()),
        }
        Ok(true)
    }

    /// Prints a list: a table for people, the rows for programs.
    pub(crate) fn list(&self, columns: &[Column], rows: &[Value], none: &str) -> Result<(), Failure> {
        if self.machine(&Value::Array(rows.to_vec()))? {
            return Ok(());
        }
        if rows.is_empty() {
            note(none);
            return Ok(());
        }
        let wide = self.format == Format::Wide;
        let layout = table::Layout {
            width: self.width.filter(|_| !wide),
            wide,
            colour: self.colour,
            now: self.width.filter(|_| !wide).map(|_| Utc::now()),
        };
        table::lines(columns, rows, &layout).iter().for_each(line);
        Ok(())
    }

    /// Prints names and values as lines; empty values are left out.
    pub(crate) fn facts(&self, facts: &[Column], row: &Value) {
        let shown: Vec<(&Column, String)> = facts.iter().map(|fact| (fact, fact.text(row))).collect();
        let shown = shown.iter().filter(|(_, text)| !text.is_empty());
        let wide = shown.clone().map(|(fact, _)| fact.heading.len()).max().unwrap_or(0);
        for (fact, text) in shown {
            let name = colour::painted(fact.heading, colour::ASIDE, self.colour);
            let pad = " ".repeat(wide - fact.heading.len());
            line(format!("{name}{pad}  {}", fact.paint(text, self.colour)));
        }
    }

    /// Prints a failure and returns its exit code: one line, with `--verbose` also the details.
    pub(crate) fn failure(&self, failure: &Failure) -> ExitCode {
        let hint = failure.hint.as_ref().map(|hint| format!("; try: {hint}")).unwrap_or_default();
        let stopped = failure.kind == Kind::Interrupted;
        let (word, style) = if stopped { ("stopped:", colour::ASIDE) } else { ("error:", colour::ERROR) };
        let error = colour::painted(word, style, self.colour_err);
        let mut err = io::stderr().lock();
        let _ = writeln!(err, "{error} {}{}", printable(&failure.message), printable(&hint));
        for detail in failure.details.iter().filter(|_| self.verbose) {
            let _ = writeln!(err, "  {}", printable(detail));
        }
        ExitCode::from(failure.kind.code())
    }
}

/// Prints one line to stdout.
pub(crate) fn line(text: impl AsRef<str>) {
    // The reader has closed the pipe.
    let _ = writeln!(io::stdout().lock(), "{}", text.as_ref());
}

/// Prints bytes as they are.
pub(crate) fn raw(bytes: &[u8]) {
    let _ = io::stdout().lock().write_all(bytes);
}

/// Prints one line to stderr.
pub(crate) fn note(text: impl AsRef<str>) {
    let _ = writeln!(io::stderr().lock(), "{}", printable(text.as_ref()));
}

/// A field as a cell: text without quotes, null as empty, everything else as JSON.
pub(crate) fn cell(value: &Value, field: &str) -> String {
    match value.pointer(&format!("/{}", field.replace('.', "/"))) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

/// Text in one line without control characters, so that a server's text cannot move the cursor.
pub(crate) fn printable(text: &str) -> String {
    text.trim_end().chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
