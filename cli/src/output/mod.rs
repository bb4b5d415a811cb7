//! The only place that writes to stdout, and the only one that tells of a failure.
//!
//! Answers go to stdout, everything else to stderr. Words from a server are shown on somebody's terminal: control characters
//! in them are replaced. A reader who went away (`| head`) is no error.

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

/// Where options are listed that every command takes.
pub(crate) const GLOBAL: &str = "Global options";

/// How answers look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    #[default]
    Table,
    /// For people with room: every column, nothing cut.
    Wide,
    /// For programs.
    Json,
    /// For files.
    Yaml,
}

/// What is said about the looks of answers; the same for every command.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct Looks {
    /// How answers look: table, wide (every column, nothing cut), json or yaml
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
    /// When to use colour: auto (on a terminal; NO_COLOR and CLICOLOR_FORCE are heeded), always or never
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
    /// Tell more of a failure: what was asked, and all that was answered
    #[arg(long, short, global = true, help_heading = GLOBAL)]
    verbose: bool,
}

/// What this run writes to: decided once, by flags, environment and where the streams lead.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Screen {
    pub(crate) format: Format,
    pub(crate) quiet: bool,
    verbose: bool,
    /// Cells of a line, where stdout is a terminal.
    width: Option<usize>,
    colour: bool,
    colour_err: bool,
    /// Whether somebody sees stderr move.
    live: bool,
}

impl From<Looks> for Screen {
    fn from(looks: Looks) -> Self {
        let stdout = io::stdout();
        let size = terminal_size::terminal_size_of(&stdout).filter(|_| stdout.is_terminal());
        Self {
            format: looks.output,
            quiet: looks.quiet,
            verbose: looks.verbose,
            // A terminal that does not know its size says 0.
            width: size.map(|(width, _)| usize::from(width.0)).filter(|width| *width > 0),
            colour: looks.color.applies(&stdout),
            colour_err: looks.color.applies(&io::stderr()),
            live: io::stderr().is_terminal(),
        }
    }
}

impl Screen {
    /// Whether people read the answer, and not programs.
    pub(crate) fn for_people(&self) -> bool {
        matches!(self.format, Format::Table | Format::Wide)
    }

    /// Writes an answer as JSON or YAML; false where the format is for people, and the caller has to say it.
    pub(crate) fn machine(&self, value: &Value) -> Result<bool, Failure> {
        match self.format {
            Format::Table | Format::Wide => return Ok(false),
            Format::Json => line(serde_json::to_string_pretty(value)?),
            Format::Yaml => line(serde_saphyr::to_string(value)?.trim_end()),
        }
        Ok(true)
    }

    /// Writes a list: columns for people, the rows themselves for programs.
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

    /// Writes names and values below each other; what is empty is left out.
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

    /// Tells of a failure and answers its exit code: one line, and with `--verbose` what is behind it.
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

/// Writes one line.
pub(crate) fn line(text: impl AsRef<str>) {
    // Nobody reads any more: there is nobody to tell.
    let _ = writeln!(io::stdout().lock(), "{}", text.as_ref());
}

/// Writes bytes as they are.
pub(crate) fn raw(bytes: &[u8]) {
    let _ = io::stdout().lock().write_all(bytes);
}

/// Writes one line to stderr, for people who watch; programs read stdout.
pub(crate) fn note(text: impl AsRef<str>) {
    let _ = writeln!(io::stderr().lock(), "{}", printable(text.as_ref()));
}

/// A field as a cell: text bare, nothing as nothing, the rest as JSON.
pub(crate) fn cell(value: &Value, field: &str) -> String {
    match value.pointer(&format!("/{}", field.replace('.', "/"))) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

/// One line without control characters, so that nobody else's words move the reader's cursor.
pub(crate) fn printable(text: &str) -> String {
    text.trim_end().chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
