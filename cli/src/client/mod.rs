//! The commands that ask a server. A file per noun says what can be asked; `resource` is the one shape in which things are
//! listed and shown, `target` finds the server, `transport` asks it, `problem` says what its refusals mean on a command
//! line, and `wait`, `story`, `pulse` and `feed` follow what goes on.

pub(crate) mod app;
pub(crate) mod context;
mod contexts;
pub(crate) mod controllers;
pub(crate) mod dlq;
pub(crate) mod doctor;
pub(crate) mod event;
mod feed;
pub(crate) mod home;
pub(crate) mod job;
mod problem;
mod pulse;
pub(crate) mod queue;
mod resource;
pub(crate) mod session;
mod story;
pub(crate) mod streams;
mod target;
pub(crate) mod template;
mod transport;
pub(crate) mod verify;
mod wait;
pub(crate) mod watch;

use std::path::PathBuf;

use crate::failure::Failure;
use crate::output::Screen;
use transport::Client;

/// Which server to ask; without any of these `--context`, the environment, the context in use, or a `dev` here decide.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct Server {
    /// The server; else STREAMSPACE_SERVER, the context in use, or that of ./data/endpoints.json
    #[arg(long, global = true, value_name = "URL", help_heading = "Server")]
    server: Option<String>,
    /// The bearer token; else STREAMSPACE_TOKEN, STREAMSPACE_TOKEN_FILE, or that of the context
    #[arg(long, global = true, value_name = "TOKEN", help_heading = "Server")]
    token: Option<String>,
    /// A file with the bearer token
    #[arg(long, global = true, value_name = "FILE", conflicts_with = "token", help_heading = "Server")]
    token_file: Option<PathBuf>,
    /// The folder of the `streamspace dev` to ask; else STREAMSPACE_DATA_DIR, or ./data
    #[arg(long, global = true, value_name = "DIR", help_heading = "Server")]
    data_dir: Option<PathBuf>,
}

/// What every command that asks a server is given.
#[derive(Debug)]
pub(crate) struct Asker {
    pub(crate) screen: Screen,
    /// `--context`
    pub(crate) context: Option<String>,
}

impl Asker {
    /// Finds out whom to ask; nobody is asked yet.
    fn console(&self, server: &Server) -> Result<Console, Failure> {
        let target = target::find(server, self.context.as_deref())?;
        Ok(Console { client: Client::new(target)?, screen: self.screen })
    }
}

/// A server to ask, and where to say what it answers.
#[derive(Debug)]
struct Console {
    client: Client,
    screen: Screen,
}

/// A name as one part of a path.
fn segment(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

/// Those flags of a query that were given.
type Query = Vec<(&'static str, Option<String>)>;
