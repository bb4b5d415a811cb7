//! Examines a controller from outside: any language, by a command that starts it, over NATS alone.
//!
//! [`run`] brings a nats-server, plays the engine's part ([`Engine`](engine::Engine)), starts and kills the controller, and holds it
//! to every [`Promise`] that can be seen from there. The cases are in `cases/`; those that need no kill run at the same time,
//! the others share their kills.

mod account;
mod book;
mod cases;
mod engine;
mod exam;
mod program;
mod session;
mod templates;
mod witness;

use std::path::PathBuf;
use std::str::FromStr;

pub use account::{Account, Finding, Line, Outcome};
pub use controllers::promise::{Level, Promise};
use streams::ids::{ControllerId, Platform};
pub use templates::Templates;

/// How commands and reports travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// Plain NATS: nothing is stored, nothing is acknowledged.
    Core,
    /// JetStream.
    Durable,
}

impl Lane {
    /// Its name, as `CONTROLLER_LANE` has it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Core => "core",
            Self::Durable => "durable",
        }
    }
}

impl FromStr for Lane {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "core" => Ok(Self::Core),
            "durable" => Ok(Self::Durable),
            other => Err(format!("{other:?} is neither core nor durable")),
        }
    }
}

/// What to examine, and how.
#[derive(Debug, Clone)]
pub struct Options {
    /// The platform that the controller is told to drive.
    pub platform: Platform,
    /// The id that it is told to have.
    pub id: ControllerId,
    /// The lane that it is told to use, and held to.
    pub lane: Lane,
    /// The command that starts it. A shell script has to `exec` the controller, so that a kill meets it.
    pub command: Vec<String>,
    /// What sessions are made from.
    pub templates: Templates,
    /// A shell command that lists what really exists, one thing a line, with the session's id in it.
    pub witness: Option<String>,
    /// Whether URLs of sessions are opened.
    pub open_urls: bool,
    /// Where pages take and give a text, by PUT and GET.
    pub write_path: String,
    /// Sessions of [`Promise::ManyAtOnce`].
    pub sessions: usize,
    /// The nats-server binary; without one it is looked for.
    pub nats_server: Option<PathBuf>,
    /// Where state and logs go; without one they go to a temporary folder, which is removed.
    pub folder: Option<PathBuf>,
    /// Only promises whose name or text contains one of these; all where it is empty.
    pub only: Vec<String>,
}

impl Options {
    /// Whether a promise is to be checked.
    #[must_use]
    pub fn wants(&self, promise: Promise) -> bool {
        let fits = |pattern: &String| promise.name().contains(pattern) || promise.text().contains(pattern);
        promise.level() != Level::Driver && (self.only.is_empty() || self.only.iter().any(fits))
    }
}

/// Why no examination took place.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The command line names no controller.
    #[error("no command was given that starts the controller: write it after `--`")]
    NoCommand,
    /// Nothing is left to check.
    #[error("no promise matches --only; `streamspace conformance --list` names them")]
    NothingToCheck,
    /// No nats-server.
    #[error("nats-server: {0}")]
    Server(#[from] streams::server::Error),
    /// No connection to it.
    #[error("NATS: {0}")]
    Connect(#[from] streams::connect::Error),
    /// It refused the subscription of the suite.
    #[error("the suite cannot listen: {0}")]
    Listen(String),
    /// It refused the streams.
    #[error("JetStream: {0}")]
    Streams(#[from] streams::topology::Error),
    /// A folder could not be made.
    #[error("the folder {}: {source}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// The system's error.
        #[source]
        source: std::io::Error,
    },
    /// The command could not be started.
    #[error("the controller could not be started with `{command}`: {source}")]
    Program {
        /// The command.
        command: String,
        /// The system's error.
        #[source]
        source: std::io::Error,
    },
    /// It was started, and never spoke.
    #[error("the controller sent no heartbeat within {seconds} s{ended}; the end of its output:\n{log}")]
    Silent {
        /// How long it had.
        seconds: u64,
        /// How it ended, if it did.
        ended: String,
        /// What it wrote last.
        log: String,
    },
}

/// Examines a controller.
///
/// # Errors
/// See [`enum@Error`]: only what kept the examination from taking place. What a controller does wrong is in the account.
pub async fn run(options: Options) -> Result<Account, Error> {
    exam::run(options).await
}
