//! When there is colour, and what it says: green is where it should be, yellow on its way, red in need of somebody.

use anstream::AutoStream;
use anstream::stream::RawStream;
use anstyle::{AnsiColor, Style};
use clap::ValueEnum;

/// Whether to use colour.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum When {
    /// On a terminal; NO_COLOR and CLICOLOR_FORCE are heeded.
    #[default]
    Auto,
    /// Also in pipes and files.
    Always,
    /// Nowhere.
    Never,
}

impl When {
    /// What that means for a stream.
    pub(super) fn applies(self, stream: &impl RawStream) -> bool {
        match self {
            Self::Auto => AutoStream::choice(stream) != anstream::ColorChoice::Never,
            Self::Always => true,
            Self::Never => false,
        }
    }
}

/// How a heading looks.
pub(super) const HEADING: Style = Style::new().bold();
/// How a failure begins.
pub(super) const ERROR: Style = AnsiColor::Red.on_default().bold();
/// What matters less.
pub(super) const ASIDE: Style = Style::new().dimmed();

/// How a state looks. Only its first word counts: `creating (to be running)` is creating.
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

/// A text in a style, where there is colour.
pub(super) fn painted(text: &str, style: Style, colour: bool) -> String {
    if colour && style != Style::new() { format!("{style}{text}{style:#}") } else { text.to_owned() }
}
