//! When to use colour, and its meaning: green for a reached goal, yellow for work in progress, red for what
//! needs attention.

use anstream::AutoStream;
use anstream::stream::RawStream;
use anstyle::{AnsiColor, Style};
use clap::ValueEnum;

/// When to use colour.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum When {
    /// On a terminal; respects NO_COLOR and CLICOLOR_FORCE.
    #[default]
    Auto,
    /// Even in pipes and files.
    Always,
    /// Never.
    Never,
}

impl When {
    /// Decides for one output stream.
    pub(super) fn applies(self, stream: &impl RawStream) -> bool {
        match self {
            Self::Auto => AutoStream::choice(stream) != anstream::ColorChoice::Never,
            Self::Always => true,
            Self::Never => false,
        }
    }
}

/// Headings.
pub(super) const HEADING: Style = Style::new().bold();
/// The start of an error message.
pub(super) const ERROR: Style = AnsiColor::Red.on_default().bold();
/// Secondary information.
pub(super) const ASIDE: Style = Style::new().dimmed();

/// The style of a state. Only its first word counts: `creating (to be running)` is creating.
pub(super) fn of_state(text: &str) -> Style {
    match text.split_whitespace().next().unwrap_or_default() {
        "running" | "ready" | "healthy" | "completed" | "applied" | "replayed" | "closed" => {
            AnsiColor::Green.on_default()
        }
        "failed" | "unhealthy" | "open" | "parked" | "dead_lettered" | "unaccounted" => AnsiColor::Red.on_default(),
        "pending" | "creating" | "hibernating" | "waking" | "deleting" | "installing" | "uninstalling"
        | "published" | "waiting" | "in_flight" | "working" | "retrying" | "cordoned" | "draining" | "half_open" => {
            AnsiColor::Yellow.on_default()
        }
        "hibernated" | "deleted" | "uninstalled" | "discarded" | "cancelled" | "drained" | "superseded" => ASIDE,
        _ => Style::new(),
    }
}

/// Applies a style if colour is on.
pub(super) fn painted(text: &str, style: Style, colour: bool) -> String {
    if colour && style != Style::new() { format!("{style}{text}{style:#}") } else { text.to_owned() }
}
