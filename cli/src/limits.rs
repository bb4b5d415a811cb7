//! What the streams may hold, as `dev` and `serve` are told.

use streams::quantity;
use streams::topology::{self, Limits};

use crate::settings::{Flag, Settings};

/// The flags.
#[derive(Debug, clap::Args)]
#[group(id = "limits")]
#[command(next_help_heading = "Streams; what is full refuses, and senders keep what they have")]
pub(crate) struct Args {
    /// Bytes of commands on their way [default: 256Mi]
    #[arg(long, value_name = "BYTES")]
    commands_max_bytes: Option<String>,
    /// Commands on their way [default: 1000000]
    #[arg(long, value_name = "COUNT")]
    commands_max_messages: Option<String>,
    /// Bytes of reports on their way [default: 256Mi]
    #[arg(long, value_name = "BYTES")]
    reports_max_bytes: Option<String>,
    /// Reports on their way [default: 1000000]
    #[arg(long, value_name = "COUNT")]
    reports_max_messages: Option<String>,
    /// Bytes of dead letters in their stream; the database keeps them all [default: 128Mi]
    #[arg(long, value_name = "BYTES")]
    dead_letters_max_bytes: Option<String>,
    /// Dead letters in their stream [default: 1000000]
    #[arg(long, value_name = "COUNT")]
    dead_letters_max_messages: Option<String>,
}

impl Args {
    /// As a layer of settings.
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

/// What was said of the streams; a mistake where one could not hold what it must.
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
        at_least(bytes, Limits::LEAST_BYTES, text, "2Mi bytes, or the largest messages never fit")
    });
    let messages = settings.read(messages, |text| {
        let count = text.parse::<u64>().ok().filter(|count| i64::try_from(*count).is_ok());
        let count = count.ok_or_else(|| format!("{text:?} is no number of messages, such as 1000000"))?;
        at_least(count, Limits::LEAST_MESSAGES, text, "16 messages")
    });
    Limits { bytes: bytes.unwrap_or(default.bytes), messages: messages.unwrap_or(default.messages) }
}

fn at_least(value: u64, least: u64, said: &str, rule: &str) -> Result<u64, String> {
    if value < least { Err(format!("{said:?} is too little: it must be at least {rule}")) } else { Ok(value) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(flags: [Flag; 2]) -> Result<topology::Settings, String> {
        let mut settings = Settings::load(None, flags);
        let read = read(&mut settings);
        settings.finish(Some(read)).map_err(|failure| failure.message)
    }

    #[test]
    fn limits_are_read_and_what_is_not_said_stays_bounded() {
        let said = told([("commands_max_bytes", Some("64Mi".into())), ("reports_max_messages", Some("5000".into()))]);
        let said = said.unwrap();
        assert_eq!(said.commands, Limits { bytes: 64 * 1024 * 1024, messages: 1_000_000 });
        assert_eq!(said.reports, Limits { bytes: 256 * 1024 * 1024, messages: 5_000 });
        assert_eq!(said.dead_letters, Limits::DEAD_LETTERS);
    }

    #[test]
    fn a_limit_that_would_hold_nothing_is_refused_with_the_rule() {
        let wrong = [("dead_letters_max_bytes", Some("1Mi".into())), ("commands_max_messages", Some("-1".into()))];
        let message = told(wrong).unwrap_err();
        for part in ["--dead-letters-max-bytes: \"1Mi\"", "at least 2Mi", "--commands-max-messages: \"-1\"", "such as"]
        {
            assert!(message.contains(part), "{part} is not in {message}");
        }
    }
}
