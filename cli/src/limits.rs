//! Settings of `dev` and `serve` for the limits of the streams.

use streams::quantity;
use streams::topology::{self, Limits};

use crate::settings::{Flag, Settings};

/// The flags.
#[derive(Debug, clap::Args)]
#[group(id = "limits")]
#[command(next_help_heading = "Streams; a full stream refuses new messages, and senders keep them")]
pub(crate) struct Args {
    /// Bytes in the command stream [default: 256Mi]
    #[arg(long, value_name = "BYTES")]
    commands_max_bytes: Option<String>,
    /// Messages in the command stream [default: 1000000]
    #[arg(long, value_name = "COUNT")]
    commands_max_messages: Option<String>,
    /// Bytes in the report stream [default: 256Mi]
    #[arg(long, value_name = "BYTES")]
    reports_max_bytes: Option<String>,
    /// Messages in the report stream [default: 1000000]
    #[arg(long, value_name = "COUNT")]
    reports_max_messages: Option<String>,
    /// Bytes in the dead-letter stream; the database keeps all letters [default: 128Mi]
    #[arg(long, value_name = "BYTES")]
    dead_letters_max_bytes: Option<String>,
    /// Messages in the dead-letter stream [default: 1000000]
    #[arg(long, value_name = "COUNT")]
    dead_letters_max_messages: Option<String>,
}

impl Args {
    /// The flags as a layer of settings.
    pub(crate) fn flags(self) -> [Flag; 6] {
        [
            ("commands_max_bytes", self.commands_max_bytes),
            ("commands_max_messages", self.commands_max_messages),
            ("reports_max_bytes", self.reports_max_bytes),
            ("reports_max_messages", self.reports_max_messages),
            ("dead_letters_max_bytes", self.dead_letters_max_bytes),
            ("dead_letters_max_messages", self.dead_letters_max_messages),
        ]
    }
}

/// Reads the limits; records a mistake for one that is too small.
pub(crate) fn read(settings: &mut Settings) -> topology::Settings {
    topology::Settings {
        commands: limits(settings, ["commands_max_bytes", "commands_max_messages"], Limits::COMMANDS),
        reports: limits(settings, ["reports_max_bytes", "reports_max_messages"], Limits::REPORTS),
        dead_letters: limits(settings, ["dead_letters_max_bytes", "dead_letters_max_messages"], Limits::DEAD_LETTERS),
        ..topology::Settings::default()
    }
}

fn limits(settings: &mut Settings, [bytes, messages]: [&'static str; 2], default: Limits) -> Limits {
    let bytes = settings.read(bytes, |text| {
        let bytes = quantity::bytes(text).map_err(|e| e.to_string())?;
        at_least(bytes, Limits::LEAST_BYTES, text, "2Mi bytes, or the largest messages do not fit")
    });
    let messages = settings.read(messages, |text| {
        let count = text.parse::<u64>().ok().filter(|count| i64::try_from(*count).is_ok());
        let count = count.ok_or_else(|| format!("{text:?} is not a number of messages, such as 1000000"))?;
        at_least(count, Limits::LEAST_MESSAGES, text, "16 messages")
    });
    Limits { bytes: bytes.unwrap_or(default.bytes), messages: messages.unwrap_or(default.messages) }
}

fn at_least(value: u64, least: u64, text: &str, rule: &str) -> Result<u64, String> {
    if value < least { Err(format!("{text:?} is too small; it must be at least {rule}")) } else { Ok(value) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(flags: [Flag; 2]) -> Result<topology::Settings, String> {
        let mut settings = Settings::load(None, flags);
        let read = read(&mut settings);
        settings.finish(Some(read)).map_err(|failure| failure.message)
    }

    #[test]
    fn limits_are_read_and_what_is_not_said_stays_bounded() {
        let settings =
            parsed([("commands_max_bytes", Some("64Mi".into())), ("reports_max_messages", Some("5000".into()))]);
        let settings = settings.unwrap();
        assert_eq!(settings.commands, Limits { bytes: 64 * 1024 * 1024, messages: 1_000_000 });
        assert_eq!(settings.reports, Limits { bytes: 256 * 1024 * 1024, messages: 5_000 });
        assert_eq!(settings.dead_letters, Limits::DEAD_LETTERS);
    }

    #[test]
    fn a_limit_that_would_hold_nothing_is_refused_with_the_rule() {
        let wrong = [("dead_letters_max_bytes", Some("1Mi".into())), ("commands_max_messages", Some("-1".into()))];
        let message = parsed(wrong).unwrap_err();
        for part in ["--dead-letters-max-bytes: \"1Mi\"", "at least 2Mi", "--commands-max-messages: \"-1\"", "such as"]
        {
            assert!(message.contains(part), "{part} is not in {message}");
        }
    }
}
