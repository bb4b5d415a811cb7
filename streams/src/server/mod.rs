//! A private nats-server: found, started, watched and stopped by the process that needs it.
//!
//! It listens on loopback only, with its own user and password, in its own process group, so that a Ctrl-C on
//! the terminal does not stop it before its clients.

mod config;
mod find;
mod orphan;

use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::process::{Child, Command};
use tokio::time::Instant;

pub use config::{Config, Login, Tls, User, text};
pub use find::{ENVIRONMENT, Found, find};

use crate::connect::{self, Secret};
use crate::permissions::Role;

const READY: Duration = Duration::from_secs(30);
const GRACE: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(25);
const PID_FILE: &str = "nats-server.pid";

/// Why no server runs.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No suitable binary.
    #[error(
        "no usable nats-server, version {} or newer ({seen}); get one with `make tools`, name one with --nats-server, or set NATS_URL to a server that runs already",
        crate::version::MINIMUM
    )]
    NotFound {
        /// The binaries that were examined.
        seen: String,
    },
    /// The port is in use.
    #[error("port {port} on 127.0.0.1 is in use: {source}; stop what listens there, or choose another port")]
    PortTaken {
        /// The port.
        port: u16,
        /// The system's error.
        #[source]
        source: std::io::Error,
    },
    /// A system call failed.
    #[error("{what}: {source}")]
    Io {
        /// The operation.
        what: String,
        /// The system's error.
        #[source]
        source: std::io::Error,
    },
    /// It exited instead of serving.
    #[error("nats-server ended at once with {status}: {log}")]
    Died {
        /// Exit status.
        status: ExitStatus,
        /// The end of its log.
        log: String,
    },
    /// It is not ready in time.
    #[error("nats-server (pid {pid}) did not become ready within {} s: {last}", READY.as_secs())]
    NotReady {
        /// Its process id.
        pid: u32,
        /// The last error of a client.
        last: String,
    },
}

fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Error {
    let what = what.into();
    move |source| Error::Io { what, source }
}

/// How to run a server.
#[derive(Debug, Clone)]
pub struct ServerOptions {
    /// The binary, from [`find`].
    pub binary: PathBuf,
    /// Folder for its store, its configuration and its pid file. One server per folder: one left behind by a
    /// killed process is ended first.
    pub store_dir: PathBuf,
    /// Port on loopback; 0 chooses a free one.
    pub port: u16,
    /// User that may connect.
    pub user: String,
    /// Its password.
    pub password: Secret,
    /// What it may do; `None` is everything.
    pub role: Option<Role>,
    /// Further users.
    pub users: Vec<User>,
    /// `always`, or a duration such as `10s`; `None` leaves it at the server's default (2 minutes).
    pub sync_interval: Option<String>,
    /// Log file; without one, its stderr is discarded.
    pub log_file: Option<PathBuf>,
}

/// A running server. Dropping it leaves it running, as a crash would; see [`Server::stop`] and [`Server::kill`].
#[derive(Debug)]
pub struct Server {
    child: Child,
    pid: u32,
    port: u16,
    options: ServerOptions,
}

impl Server {
    /// Starts a server and waits until it accepts clients and JetStream works.
    ///
    /// # Errors
    /// See [`Error`]; nothing is left running then.
    pub async fn start(options: ServerOptions) -> Result<Self, Error> {
        let pid_file = options.store_dir.join(PID_FILE);
        let config = options.store_dir.join(config::FILE);
        orphan::end(&pid_file, &config).await.map_err(io("ending the nats-server of an earlier run"))?;
        let port = free_port(options.port)?;
        let config = config::write(&options, port).map_err(io("writing the configuration of nats-server"))?;
        let mut command = Command::new(&options.binary);
        command
            .arg("-c")
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0);
        let child = command.spawn().map_err(io(format!("starting {}", options.binary.display())))?;
        let pid = child.id().unwrap_or_default();
        let mut server = Self { child, pid, port, options };
        let ready = match std::fs::write(&pid_file, pid.to_string()).map_err(io("writing the pid of nats-server")) {
            Ok(()) => server.ready().await,
            Err(error) => Err(error),
        };
        match ready {
            Ok(()) => Ok(server),
            Err(error) => {
                let _ = server.kill().await; // report the first error
                Err(error)
            }
        }
    }

    /// `nats://127.0.0.1:<port>`, without credentials.
    #[must_use]
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// The port that it listens on.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Its process id.
    #[must_use]
    pub const fn pid(&self) -> u32 {
        self.pid
    }

    /// The configuration of a client.
    #[must_use]
    pub fn client(&self, name: &str) -> connect::Config {
        connect::Config {
            user: Some(self.options.user.clone()),
            password: Some(self.options.password.clone()),
            ..connect::Config::new(self.url(), name)
        }
    }

    /// Waits until it ends, because it was stopped or failed.
    ///
    /// # Errors
    /// The system's.
    pub async fn wait(&mut self) -> std::io::Result<ExitStatus> {
        self.child.wait().await
    }

    /// Stops it gracefully, and kills it after 10 s.
    ///
    /// # Errors
    /// The system's.
    pub async fn stop(&mut self) -> std::io::Result<ExitStatus> {
        if self.child.try_wait()?.is_none() {
            orphan::signal(self.pid, rustix::process::Signal::TERM);
        }
        match tokio::time::timeout(GRACE, self.child.wait()).await {
            Ok(status) => {
                let _ = std::fs::remove_file(self.options.store_dir.join(PID_FILE));
                status
            }
            Err(_) => self.kill().await,
        }
    }

    /// Kills it, like a power cut.
    ///
    /// # Errors
    /// The system's.
    pub async fn kill(&mut self) -> std::io::Result<ExitStatus> {
        if self.child.try_wait()?.is_none() {
            self.child.start_kill()?;
        }
        let status = self.child.wait().await;
        let _ = std::fs::remove_file(self.options.store_dir.join(PID_FILE));
        status
    }

    /// Kills it without waiting, for callers that cannot await.
    pub fn kill_now(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.child.start_kill(); // it may have ended already
        }
    }

    async fn ready(&mut self) -> Result<(), Error> {
        let deadline = Instant::now() + READY;
        let client = self.client("streamspace-readiness");
        loop {
            if let Some(status) = self.child.try_wait().map_err(io("watching nats-server"))? {
                return Err(Error::Died { status, log: self.log_tail() });
            }
            let last = match tokio::net::TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).await {
                Err(error) => error.to_string(),
                Ok(_) => match connect::connect(&client).await {
                    Ok(_) => return Ok(()),
                    Err(error) => error.to_string(),
                },
            };
            if Instant::now() > deadline {
                return Err(Error::NotReady { pid: self.pid, last });
            }
            tokio::time::sleep(POLL).await;
        }
    }

    fn log_tail(&self) -> String {
        let Some(path) = &self.options.log_file else { return "it has no log file".into() };
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let lines = text.lines().rev().take(5).collect::<Vec<_>>();
        lines.into_iter().rev().collect::<Vec<_>>().join(" | ")
    }
}

/// Checks that the requested port is free; chooses one for 0.
fn free_port(wish: u16) -> Result<u16, Error> {
    let listener =
        TcpListener::bind((Ipv4Addr::LOCALHOST, wish)).map_err(|source| Error::PortTaken { port: wish, source })?;
    listener.local_addr().map(|address| address.port()).map_err(io("asking for a free port"))
}
