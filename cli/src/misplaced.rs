//! Explains a flag that was written before the command that it belongs to: clap only reports it as unknown,
//! which sends people looking for a misspelling.

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Command, CommandFactory, Parser};

use crate::args::Cli;

/// Number of commands named at most; a flag of many commands says nothing about which was meant.
const MOST: usize = 3;

/// Parses the command line, or exits with clap's error, extended by the right position of a misplaced flag.
pub(crate) fn parse() -> Cli {
    read(std::env::args_os()).unwrap_or_else(|error| error.exit())
}

fn read(line: impl IntoIterator<Item = OsString>) -> Result<Cli, clap::Error> {
    let line: Vec<OsString> = line.into_iter().collect();
    Cli::try_parse_from(&line).map_err(|error| placed(&error, &line).unwrap_or(error))
}

/// The error with the position where the flag belongs; `None` if no command takes it.
fn placed(error: &clap::Error, line: &[OsString]) -> Option<clap::Error> {
    let Some(ContextValue::String(flag)) = error.get(ContextKind::InvalidArg) else { return None };
    let name = flag.strip_prefix("--")?.split('=').next()?;
    let mut root = Cli::command();
    let mut takers = Vec::new();
    takes(&root, name, root.get_name(), &mut takers);
    if error.kind() != ErrorKind::UnknownArgument || takers.is_empty() {
        return None;
    }
    let meant = |command: &String| command.split(' ').skip(1).all(|word| line.iter().any(|part| part == word));
    if takers.iter().any(meant) {
        takers.retain(meant);
    }
    let more = if takers.len() > MOST { ", among others" } else { "" };
    let examples: Vec<String> = takers.iter().take(MOST).map(|command| format!("`{command} --{name} ...`")).collect();
    let text = format!("--{name} goes after the command that it belongs to: {}{more}", examples.join(", "));
    Some(root.error(ErrorKind::UnknownArgument, text))
}

/// Collects the commands that take a flag, each with the words that lead to it.
fn takes(command: &Command, name: &str, words: &str, found: &mut Vec<String>) {
    for inner in command.get_subcommands().filter(|inner| !inner.is_hide_set()) {
        let words = format!("{words} {}", inner.get_name());
        if inner.get_arguments().any(|argument| argument.get_long() == Some(name)) {
            found.push(words);
        } else {
            takes(inner, name, &words, found);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(line: &str) -> String {
        let line = line.split(' ').map(OsString::from);
        read(line).map(|_| String::new()).unwrap_or_else(|error| error.to_string())
    }

    #[test]
    fn a_flag_before_its_command_is_told_where_it_goes() {
        assert!(refused("streamspace --data-dir x dev").contains("`streamspace dev --data-dir ...`"));
        let dev = refused("streamspace --data-dir=x dev");
        assert!(dev.contains("`streamspace dev --data-dir ...`") && !dev.contains("others"), "{dev}");
        let since = refused("streamspace --since 10m event list");
        assert!(since.contains("`streamspace event list --since ...`"), "{since}");
        let server = refused("streamspace --server http://x session list");
        assert!(server.contains("`streamspace session --server ...`"), "{server}");
        assert!(refused("streamspace --data-dir x").contains("among others"));
    }

    #[test]
    fn a_flag_that_no_command_takes_is_unknown_as_before() {
        let unknown = refused("streamspace --colour session list");
        assert!(unknown.contains("unexpected argument '--colour'"), "{unknown}");
        assert_eq!(refused("streamspace session list --color never"), "");
    }
}
