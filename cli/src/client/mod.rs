//! The commands that call a server, a file per noun. `resource` defines how things are listed and shown,
//! `target` finds the server, `transport` sends requests, `problem` turns refusals into failures, and `wait`,
//! `event_log`, `change_wait` and `feed` follow what happens.

pub(crate) mod app;
mod change_wait;
pub(crate) mod context;
mod contexts;
pub(crate) mod controllers;
pub(crate) mod dlq;
pub(crate) mod doctor;
pub(crate) mod event;
mod event_log;
mod feed;
pub(crate) mod home;
pub(crate) mod job;
pub(crate) mod platform;
mod problem;
pub(crate) mod queue;
mod resource;
pub(crate) mod session;
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

/// Which server to use; without these options, `--context`, the environment, the context in use or a local
/// `dev` decide.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct Server {
    /// Server URL [default: STREAMSPACE_SERVER, the context in use, or ./data/endpoints.json]
    #[arg(long, global = true, value_name = "URL", help_heading = "Server")]
    server: Option<String>,
    /// Bearer token [default: STREAMSPACE_TOKEN, STREAMSPACE_TOKEN_FILE, or the token of the context]
    #[arg(long, global = true, value_name = "TOKEN", help_heading = "Server")]
    token: Option<String>,
    /// File with the bearer token
    #[arg(long, global = true, value_name = "FILE", conflicts_with = "token", help_heading = "Server")]
    token_file: Option<PathBuf>,
    /// Data folder of the `streamspace dev` to use [default: STREAMSPACE_DATA_DIR, or ./data]
    #[arg(long, global = true, value_name = "DIR", help_heading = "Server")]
    data_dir: Option<PathBuf>,
}

/// Makes the client of a command from the global options, once the command's own are known.
#[derive(Debug)]
pub(crate) struct ClientFactory {
    pub(crate) screen: Screen,
    /// The global option `--context`.
    pub(crate) context: Option<String>,
}

impl ClientFactory {
    /// Resolves the server to use; sends nothing yet.
    fn console(&self, server: &Server) -> Result<Console, Failure> {
        let target = target::find(server, self.context.as_deref())?;
        Ok(Console { client: Client::new(target)?, screen: self.screen })
    }
}

/// The client of a server, and the screen for its answers.
#[derive(Debug)]
struct Console {
    client: Client,
    screen: Screen,
}

/// Percent-encodes a name as one segment of a path.
fn segment(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

/// Query parameters; those without a value are left out.
type Query = Vec<(&'static str, Option<String>)>;
