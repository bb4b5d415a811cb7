//! Tables: what each column shows, and how many columns fit. This module is pure; its caller prints.
//!
//! Lines never wrap. If a table is too wide, the least important columns are first shortened, then left out;
//! the two most important ones always stay.

use chrono::{DateTime, Utc};
use serde_json::Value;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::{cell, colour, printable};

const GAP: &str = "  ";
/// Minimum width of a shortened column.
const LEAST: usize = 8;
/// Minimum widths of the two columns that stay: this if possible, otherwise barely more than the ellipsis.
const FLOORS: [usize; 2] = [14, 2];
const CUT: &str = "…";

/// A column of a table, or a line of details.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Column {
    pub(super) heading: &'static str,
    shows: Shows,
    kind: Kind,
    /// Importance; columns with a higher rank are left out first.
    rank: u8,
    wide: bool,
}

#[derive(Debug, Clone, Copy)]
enum Shows {
    Field(&'static str),
    Made(fn(&Value) -> String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Plain,
    State,
    Time,
}

impl Column {
    /// A field of the row; `a.b` is field b of object a.
    pub(crate) const fn field(heading: &'static str, field: &'static str) -> Self {
        Self { heading, shows: Shows::Field(field), kind: Kind::Plain, rank: 5, wide: false }
    }

    /// A text computed from the row.
    pub(crate) const fn made(heading: &'static str, show: fn(&Value) -> String) -> Self {
        Self { shows: Shows::Made(show), ..Self::field(heading, "") }
    }

    /// Shows a state, in colour.
    pub(crate) const fn state(self) -> Self {
        Self { kind: Kind::State, ..self }
    }

    /// Shows a time; for people as an age.
    pub(crate) const fn time(self) -> Self {
        Self { kind: Kind::Time, ..self }
    }

    /// Sets the importance: 0 is kept longest, the default is 5.
    pub(crate) const fn rank(self, rank: u8) -> Self {
        Self { rank, ..self }
    }

    /// Only shown with `--output wide`.
    pub(crate) const fn wide(self) -> Self {
        Self { wide: true, ..self }
    }

    pub(super) fn text(&self, row: &Value) -> String {
        printable(&match self.shows {
            Shows::Field(field) => cell(row, field),
            Shows::Made(show) => show(row),
        })
    }

    fn shown(&self, row: &Value, layout: &Layout) -> String {
        let text = self.text(row);
        match layout.now.filter(|_| self.kind == Kind::Time) {
            Some(now) => age(&text, now).unwrap_or(text),
            None => text,
        }
    }

    /// Applies the column's colour to a text.
    pub(super) fn paint(&self, text: &str, colour: bool) -> String {
        let style = if self.kind == Kind::State { colour::of_state(text) } else { anstyle::Style::new() };
        colour::painted(text, style, colour)
    }
}

/// What a table has to fit into.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Layout {
    /// Columns of the terminal; `None` means unlimited.
    pub(super) width: Option<usize>,
    /// Show every column.
    pub(super) wide: bool,
    pub(super) colour: bool,
    /// Show times as ages relative to this; `None` shows them as they are.
    pub(super) now: Option<DateTime<Utc>>,
}

/// Renders a table.
pub(super) fn lines(columns: &[Column], rows: &[Value], layout: &Layout) -> Vec<String> {
    let columns: Vec<&Column> = columns.iter().filter(|column| layout.wide || !column.wide).collect();
    let cells: Vec<Vec<String>> =
        rows.iter().map(|row| columns.iter().map(|column| column.shown(row, layout)).collect()).collect();
    let natural: Vec<usize> = columns
        .iter()
        .enumerate()
        .map(|(i, column)| cells.iter().map(|row| row[i].width()).max().unwrap_or(0).max(column.heading.width()))
        .collect();
    let ranks: Vec<u8> = columns.iter().map(|column| column.rank).collect();
    let widths = fit(&natural, &ranks, layout.width);
    let heading = line(&columns, &widths, |i| {
        let text = cut(columns[i].heading, widths[i]);
        (colour::painted(&text, colour::HEADING, layout.colour), text.width())
    });
    let body = cells.iter().map(|row| {
        line(&columns, &widths, |i| {
            let text = cut(&row[i], widths[i]);
            (columns[i].paint(&text, layout.colour), text.width())
        })
    });
    std::iter::once(heading).chain(body).collect()
}

fn line(columns: &[&Column], widths: &[usize], shown: impl Fn(usize) -> (String, usize)) -> String {
    let kept: Vec<usize> = (0..columns.len()).filter(|i| widths[*i] > 0).collect();
    let mut line = String::new();
    for (position, &i) in kept.iter().enumerate() {
        let (text, width) = shown(i);
        line.push_str(&text);
        // The last column is not padded, because trailing blanks would wrap when the window shrinks.
        if position + 1 < kept.len() {
            line.push_str(&" ".repeat(widths[i].saturating_sub(width)));
            line.push_str(GAP);
        }
    }
    line.trim_end().to_owned()
}

/// The width of each column; 0 leaves it out.
fn fit(natural: &[usize], ranks: &[u8], width: Option<usize>) -> Vec<usize> {
    let mut widths = natural.to_vec();
    let Some(width) = width else { return widths };
    let mut order: Vec<usize> = (0..widths.len()).collect();
    order.sort_by_key(|&i| std::cmp::Reverse((ranks[i], i)));
    let surplus = |widths: &[usize]| {
        let kept = widths.iter().filter(|w| **w > 0).count();
        (widths.iter().sum::<usize>() + kept.saturating_sub(1) * GAP.len()).saturating_sub(width)
    };
    let matter = order.len().saturating_sub(2);
    for &i in &order[..matter] {
        widths[i] -= surplus(&widths).min(widths[i].saturating_sub(LEAST));
    }
    for &i in &order[..matter] {
        if surplus(&widths) > 0 {
            widths[i] = 0;
        }
    }
    // Shrinking a column may have freed more than was needed: give it back, to important columns first.
    for &i in order.iter().rev().filter(|&&i| natural[i] > 0) {
        let free = free(&widths, width);
        if widths[i] > 0 {
            widths[i] += free.min(natural[i] - widths[i]);
        }
    }
    for floor in FLOORS {
        for &i in &order {
            widths[i] -= surplus(&widths).min(widths[i].saturating_sub(floor));
        }
    }
    widths
}

fn free(widths: &[usize], width: usize) -> usize {
    let kept = widths.iter().filter(|w| **w > 0).count();
    width.saturating_sub(widths.iter().sum::<usize>() + kept.saturating_sub(1) * GAP.len())
}

/// Shortens a text to a width, with an ellipsis if something is missing.
pub(super) fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let available = width.saturating_sub(CUT.width());
    let mut kept = String::new();
    let mut used = 0;
    for c in text.chars() {
        let wide = c.width().unwrap_or(0);
        if used + wide > available {
            break;
        }
        kept.push(c);
        used += wide;
    }
    kept + CUT
}

/// The age of a time, such as `5m ago`, or `in 5m` for a future one.
pub(super) fn age(text: &str, now: DateTime<Utc>) -> Option<String> {
    let at = DateTime::parse_from_rfc3339(text).ok()?.with_timezone(&Utc);
    let seconds = (now - at).num_seconds();
    let (n, unit) = match seconds.unsigned_abs() {
        s @ 0..120 => (s, "s"),
        s @ 120..7_200 => (s / 60, "m"),
        s @ 7_200..172_800 => (s / 3_600, "h"),
        s => (s / 86_400, "d"),
    };
    Some(if seconds < 0 { format!("in {n}{unit}") } else { format!("{n}{unit} ago") })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const COLUMNS: &[Column] = &[
        Column::field("ID", "id").rank(0),
        Column::field("TEMPLATE", "template").rank(4),
        Column::field("STATUS", "status").state().rank(1),
        Column::field("USER", "user").rank(3),
        Column::field("URL", "url").rank(2),
        Column::field("CREATED", "created").time(),
        Column::field("TRACE", "trace").wide(),
    ];

    fn rows() -> Vec<Value> {
        let row = |name: &str| {
            json!({ "id": "01a20549-a5fb-7255-8fb3-65e3ff665b4f", "template": "a-template-with-a-long-name",
            "status": "creating (to be running)", "user": name, "url": "http://127.0.0.1:41234/", "trace": "t",
            "created": "2026-01-01T00:00:00.000Z" })
        };
        vec![row("ada"), row("名前の長い人")]
    }

    fn at(width: Option<usize>) -> Vec<String> {
        lines(COLUMNS, &rows(), &Layout { width, ..Layout::default() })
    }

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        for width in [20, 40, 60, 80, 100, 120, 200] {
            for line in at(Some(width)) {
                assert!(line.width() <= width, "{} of {width}: {line}", line.width());
            }
        }
    }

    #[test]
    fn what_matters_most_is_cut_last() {
        let wide = at(Some(200)).join("\n");
        assert!(!wide.contains(CUT) && wide.contains("CREATED") && !wide.contains("TRACE"), "{wide}");
        let usual = at(Some(80)).join("\n");
        assert!(usual.contains("01a20549-a5fb-7255-8fb3-65e3ff665b4f") && usual.contains("creating (to be"), "{usual}");
        let narrow = at(Some(40));
        assert!(narrow[0].contains("ID") && narrow[0].contains("STATUS"), "{narrow:?}");
        assert!(narrow[1].contains(CUT) && narrow[1].contains("creating"), "{narrow:?}");
    }

    #[test]
    fn without_a_terminal_everything_is_there_as_it_is() {
        let piped = at(None).join("\n");
        assert!(piped.contains("2026-01-01T00:00:00.000Z") && piped.contains("a-template-with-a-long-name"), "{piped}");
        assert!(!piped.contains('\u{1b}') && !piped.contains(CUT), "{piped}");
    }

    #[test]
    fn colour_changes_no_width_and_says_the_state() {
        let layout = Layout { width: Some(80), colour: true, ..Layout::default() };
        let painted = lines(COLUMNS, &rows(), &layout);
        assert!(painted[1].contains("\u{1b}[33mcreating"), "{painted:?}");
        let plain: Vec<String> = painted.iter().map(|line| anstream::adapter::strip_str(line).to_string()).collect();
        assert_eq!(plain, at(Some(80)));
    }

    #[test]
    fn times_are_ages_for_people() {
        let now = "2026-01-01T01:30:00Z".parse().unwrap();
        let age = |text| age(text, now).unwrap();
        assert_eq!(age("2026-01-01T01:29:30.5Z"), "29s ago");
        assert_eq!(age("2026-01-01T00:00:00Z"), "90m ago");
        assert_eq!(age("2025-12-25T00:00:00Z"), "7d ago");
        assert_eq!(age("2026-01-01T02:00:00Z"), "in 30m");
    }
}
