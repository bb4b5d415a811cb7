//! Progress on stderr: a spinner on a terminal, otherwise a line for each change.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use super::{Screen, note, printable};

const TURN: Duration = Duration::from_millis(100);

/// The progress of one wait; a spinner disappears when this is dropped.
#[derive(Debug)]
pub(crate) struct Progress {
    spinner: Option<ProgressBar>,
    silent: bool,
    last: String,
}

impl Progress {
    /// Starts to show progress.
    pub(crate) fn start(screen: &Screen) -> Self {
        let spinner = (screen.live && !screen.quiet).then(|| {
            let shape = if screen.colour_err { "{spinner:.cyan} {elapsed:>3.dim} {wide_msg}" } else { PLAIN };
            let style = ProgressStyle::with_template(shape).unwrap_or_else(|_| ProgressStyle::default_spinner());
            let bar = ProgressBar::new_spinner().with_style(style);
            bar.enable_steady_tick(TURN);
            bar
        });
        Self { spinner, silent: screen.quiet, last: String::new() }
    }

    /// Shows a spinner only, and never lines.
    pub(crate) fn spinner(screen: &Screen) -> Self {
        let mut progress = Self::start(screen);
        progress.silent = true;
        progress
    }

    /// Shows a new state; does nothing if it has not changed.
    pub(crate) fn say(&mut self, text: &str) {
        if text == self.last {
            return;
        }
        text.clone_into(&mut self.last);
        match &self.spinner {
            Some(bar) => bar.set_message(printable(text)),
            None if self.silent => {}
            None => note(text),
        }
    }

    /// Runs `write` with the spinner hidden.
    pub(crate) fn aside<T>(&self, write: impl FnOnce() -> T) -> T {
        match &self.spinner {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }
}

const PLAIN: &str = "{spinner} {elapsed:>3} {wide_msg}";

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.spinner {
            bar.finish_and_clear();
        }
    }
}
