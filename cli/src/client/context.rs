//! `streamspace context`: the servers that this program knows, and which of them it uses.

use std::path::PathBuf;

use reqwest::Url;
use serde_json::{Value, json};

use super::ClientFactory;
use super::contexts::{Context, Contexts, DEV, token_in};
use crate::failure::Failure;
use crate::output::{self, Column, Screen, cell};

const EXAMPLES: &str = "\
Examples:
  streamspace context add prod --url https://streamspace.example.org --token-file ~/.prod-token
  pass streamspace | streamspace context add prod --url https://streamspace.example.org --token-file -
  streamspace context use prod
  streamspace --context dev session list

The context dev is the `streamspace dev` of ./data (or STREAMSPACE_DATA_DIR); it always exists, and is used if no other
is selected. The file is $XDG_CONFIG_HOME/streamspace/config.yaml (~/.config without XDG_CONFIG_HOME).";

/// Arguments of `streamspace context`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List the contexts; a star marks the one in use
    #[command(after_help = "Example:\n  streamspace context list")]
    List,
    /// Add or replace a context; the first one is in use at once
    #[command(after_help = "\
Examples:
  streamspace context add prod --url https://streamspace.example.org --token-file ~/.prod-token
  pass streamspace | streamspace context add prod --url https://streamspace.example.org --token-file -")]
    Add {
        /// Name of the context
        #[arg(value_parser = name)]
        name: String,
        /// URL of the server
        #[arg(long, value_parser = url)]
        url: Url,
        /// File with the token, read each time; - reads the token from stdin now and stores it
        #[arg(long, value_name = "FILE|-")]
        token_file: Option<PathBuf>,
    },
    /// Use this context from now on
    #[command(after_help = "Example:\n  streamspace context use prod")]
    Use {
        /// Name of the context
        name: String,
    },
    /// Remove a context
    #[command(after_help = "Example:\n  streamspace context remove prod")]
    Remove {
        /// Name of the context
        name: String,
    },
    /// Show a context, by default the one in use; never its token
    #[command(after_help = "Example:\n  streamspace context show prod")]
    Show {
        /// Name of the context
        name: Option<String>,
    },
}

const COLUMNS: &[Column] = &[
    Column::made("", |row| if row["in_use"] == true { "*".into() } else { String::new() }).rank(2),
    Column::field("NAME", "name").rank(0),
    Column::field("URL", "url").rank(1),
    Column::field("TOKEN", "token").rank(3),
];

const FACTS: &[Column] = &[
    Column::field("name", "name"),
    Column::field("url", "url"),
    Column::field("token", "token"),
    Column::made("in use", |row| if row["in_use"] == true { "yes".into() } else { "no".into() }),
];

/// Runs the subcommand.
pub(crate) fn run(args: Args, factory: ClientFactory) -> Result<(), Failure> {
    let (path, screen) = (Contexts::path()?, factory.screen);
    let mut contexts = Contexts::load(&path)?;
    match args.command {
        Command::List => return list(&screen, &contexts),
        Command::Show { name } => return show(&screen, &contexts, name.or(factory.context)),
        Command::Add { name, url, token_file } => add(&mut contexts, &name, &url, token_file)?,
        Command::Use { name } => {
            if name != DEV {
                contexts.get(&name)?;
            }
            output::note(format!("now using {name}"));
            contexts.current = Some(name);
        }
        Command::Remove { name } => {
            contexts.get(&name)?;
            contexts.contexts.remove(&name);
            contexts.current = contexts.current.filter(|current| *current != name);
            output::note(format!("removed {name}"));
        }
    }
    contexts.save(&path)
}

fn add(contexts: &mut Contexts, name: &str, url: &Url, token_file: Option<PathBuf>) -> Result<(), Failure> {
    let url = url.to_string();
    let context = match token_file {
        Some(file) if file.as_os_str() == "-" => Context::with_token(url, from_stdin()?),
        Some(file) => {
            token_in(&file)?;
            Context::with_file(url, Some(std::path::absolute(file)?))
        }
        None => Context::with_file(url, None),
    };
    let first = contexts.contexts.is_empty() && contexts.current.is_none();
    contexts.contexts.insert(name.to_owned(), context);
    if first {
        contexts.current = Some(name.to_owned());
    }
    let hint =
        if contexts.current.as_deref() == Some(name) { "in use" } else { "`streamspace context use` selects it" };
    output::note(format!("added {name}; {hint}"));
    Ok(())
}

fn from_stdin() -> Result<String, Failure> {
    let text = std::io::read_to_string(std::io::stdin())?;
    match text.trim() {
        "" => Err(Failure::usage("there is no token on stdin").hint("`pass NAME | streamspace context add ...`")),
        token => Ok(token.to_owned()),
    }
}

fn list(screen: &Screen, contexts: &Contexts) -> Result<(), Failure> {
    let mut rows: Vec<Value> = contexts.contexts.keys().map(|name| row(contexts, name)).collect();
    if !contexts.contexts.contains_key(DEV) {
        rows.push(row(contexts, DEV));
    }
    if screen.quiet {
        rows.iter().for_each(|row| output::line(cell(row, "name")));
        return Ok(());
    }
    screen.list(COLUMNS, &rows, "no contexts")
}

fn show(screen: &Screen, contexts: &Contexts, name: Option<String>) -> Result<(), Failure> {
    let name = name.or_else(|| contexts.current.clone()).unwrap_or_else(|| DEV.into());
    if name != DEV {
        contexts.get(&name)?;
    }
    let row = row(contexts, &name);
    if screen.quiet {
        output::line(name);
    } else if !screen.machine(&row)? {
        screen.facts(FACTS, &row);
    }
    Ok(())
}

/// A context as a row. For the built-in one, address and token are in `endpoints.json`.
fn row(contexts: &Contexts, name: &str) -> Value {
    let in_use = contexts.current.as_deref().unwrap_or(DEV) == name;
    let (url, token) = match contexts.contexts.get(name) {
        Some(context) => (context.url.clone(), context.token_place()),
        None => ("from endpoints.json".into(), "from endpoints.json".into()),
    };
    json!({ "name": name, "url": url, "token": token, "in_use": in_use })
}

fn name(text: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    match text {
        DEV => Err(format!("{DEV} is reserved for the `streamspace dev` here; choose another name")),
        text if text.is_empty() || !text.chars().all(plain) => {
            Err("a name consists of letters, digits, -, _ and .".into())
        }
        text => Ok(text.to_owned()),
    }
}

fn url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    let url = url.ok_or("a URL looks like https://streamspace.example.org")?;
    if url.password().is_some() { Err("the URL must not contain a password; use --token-file".into()) } else { Ok(url) }
}
