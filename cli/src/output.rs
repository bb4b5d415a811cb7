//! The only place that writes to stdout, and the only one that tells of a failure.
//!
//! Words from a server are shown on somebody's terminal: control characters in them are replaced. A reader who went away
//! (`| head`) is no error.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::ValueEnum;
use serde_json::Value;

use crate::failure::Failure;

/// How answers look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    #[default]
    Table,
    /// For programs.
    Json,
    /// For files.
    Yaml,
}

/// A column of a table: its heading, and what it shows of a row.
pub(crate) type Column = (&'static str, fn(&Value) -> String);

/// Writes one line.
pub(crate) fn line(text: impl AsRef<str>) {
    // Nobody reads any more: there is nobody to tell.
    let _ = writeln!(io::stdout().lock(), "{}", text.as_ref());
}

/// Writes one line to stderr, for people who watch; programs read stdout.
pub(crate) fn note(text: impl AsRef<str>) {
    let _ = writeln!(io::stderr().lock(), "{}", printable(text.as_ref()));
}

/// Tells of a failure and answers its exit code.
pub(crate) fn failure(failure: &Failure) -> ExitCode {
    let hint = failure.hint.as_ref().map(|hint| format!("; try: {hint}")).unwrap_or_default();
    let _ = writeln!(io::stderr().lock(), "error: {}{}", printable(&failure.message), printable(&hint));
    ExitCode::from(failure.kind.code())
}

/// Writes an answer as JSON or YAML; false where the format is for people, and the caller has to say it.
pub(crate) fn machine(format: Format, value: &Value) -> Result<bool, Failure> {
    match format {
        Format::Table => return Ok(false),
        Format::Json => line(serde_json::to_string_pretty(value)?),
        Format::Yaml => line(serde_saphyr::to_string(value)?.trim_end()),
    }
    Ok(true)
}

/// Writes a list: aligned columns for people, the rows themselves for programs.
pub(crate) fn list(format: Format, columns: &[Column], rows: &[Value], none: &str) -> Result<(), Failure> {
    if machine(format, &Value::Array(rows.to_vec()))? {
        return Ok(());
    }
    if rows.is_empty() {
        note(none);
        return Ok(());
    }
    let mut cells: Vec<Vec<String>> = vec![columns.iter().map(|(heading, _)| (*heading).to_owned()).collect()];
    cells.extend(rows.iter().map(|row| columns.iter().map(|(_, show)| printable(&show(row))).collect()));
    let widths: Vec<usize> =
        (0..columns.len()).map(|i| cells.iter().map(|row| width(&row[i])).max().unwrap_or(0)).collect();
    for row in &cells {
        line(aligned(row, &widths));
    }
    Ok(())
}

/// Writes names and values below each other.
pub(crate) fn facts(facts: &[(&str, String)]) {
    let wide = facts.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    for (name, value) in facts.iter().filter(|(_, value)| !value.is_empty()) {
        line(format!("{name:wide$}  {}", printable(value)));
    }
}

/// A field as a cell: text bare, nothing as nothing, the rest as JSON.
pub(crate) fn cell(value: &Value, field: &str) -> String {
    match value.pointer(&format!("/{}", field.replace('.', "/"))) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

fn aligned(row: &[String], widths: &[usize]) -> String {
    let padded =
        row.iter().zip(widths).map(|(cell, wide)| format!("{cell}{}", " ".repeat(wide.saturating_sub(width(cell)))));
    padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
}

fn width(text: &str) -> usize {
    text.chars().count()
}

/// One line without control characters, so that nobody else's words move the reader's cursor.
pub(crate) fn printable(text: &str) -> String {
    text.trim_end().chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
