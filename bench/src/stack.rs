//! What is measured: nats-server, `streamspace serve` and a `noop` controller, each a process of its own.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use migrations::connect::Database;
use migrations::testing::TestDatabase;
use sea_orm::{ConnectionTrait, Statement};
use serde::Serialize;
use streams::server::{Server, ServerOptions};
use tempfile::TempDir;
use tokio::process::{Child, Command};

/// A database to measure on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Backend {
    /// WAL, `synchronous = FULL`.
    Sqlite,
    /// `synchronous_commit = on`.
    Postgres,
}

impl Backend {
    /// The fsync mode, for whoever reads a figure.
    pub fn durability(self) -> &'static str {
        match self {
            Self::Sqlite => "synchronous=FULL",
            Self::Postgres => "synchronous_commit=on",
        }
    }
}

/// The running processes.
pub struct Stack {
    /// Base URL of the API.
    pub http: String,
    /// The API's token.
    pub token: String,
    /// The same database, to read the log from.
    pub database: Database,
    owned: TestDatabase,
    nats: Server,
    serve: Child,
    controller: Child,
    _folder: TempDir,
}

impl Stack {
    /// Starts everything and waits until the controller is healthy.
    pub async fn start(binary: &Path, backend: Backend) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let owned = match backend {
            Backend::Sqlite => TestDatabase::sqlite().await?,
            Backend::Postgres => TestDatabase::postgres().await?,
        };
        let found = streams::server::find(None)?;
        let nats = Server::start(ServerOptions::private(found.path, folder.path().join("nats"))).await?;
        let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let token = "bench-token-of-this-run".to_owned();
        let mut command = process(binary, &nats, folder.path())?;
        command.args(["serve", "--http-addr", &format!("127.0.0.1:{port}")]);
        command.env("DATABASE_URL", &owned.url).env("STREAMSPACE_ADMIN_TOKEN", &token);
        let serve = command.spawn().context("serve")?;
        let mut command = process(binary, &nats, folder.path())?;
        command.args(["controller", "--state-dir"]).arg(folder.path().join("state"));
        let platform = [("CONTROLLER_ID", "bench-1"), ("CONTROLLER_PLATFORM", "noop"), ("HEARTBEAT_INTERVAL", "1s")];
        let controller = command.envs(platform).spawn().context("controller")?;
        let http = format!("http://127.0.0.1:{port}");
        let database = owned.database.clone();
        let stack = Self { http, token, database, owned, nats, serve, controller, _folder: folder };
        stack.ready().await?;
        Ok(stack)
    }

    async fn ready(&self) -> Result<()> {
        for _ in 0..600 {
            let text = match reqwest::get(format!("{}/metrics", self.http)).await {
                Ok(answer) => answer.text().await.unwrap_or_default(),
                Err(_) => String::new(),
            };
            if text.lines().any(|line| line.starts_with("streamspace_controller_health{") && line.ends_with(" 1")) {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        bail!("the controller did not become healthy within 30 s")
    }

    /// The newest row of the log.
    pub async fn newest_event(&self) -> Result<i64> {
        let sql = "SELECT coalesce(max(id), 0) AS id FROM event_log";
        let row = self.database.reader.query_one_raw(Statement::from_string(self.database.backend, sql)).await?;
        Ok(row.context("a row")?.try_get("", "id")?)
    }

    /// Resident memory of `serve`, in MB.
    pub fn memory_mb(&self) -> Result<f64> {
        let pid = self.serve.id().context("serve has ended")?;
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("VmRSS")?;
        Ok(line.trim().trim_end_matches(" kB").trim().parse::<f64>()? / 1024.0)
    }

    /// Ends every process.
    pub async fn stop(mut self) -> Result<()> {
        self.controller.kill().await?;
        self.serve.kill().await?;
        self.nats.kill().await?;
        drop(self.owned);
        Ok(())
    }
}

fn process(binary: &Path, nats: &Server, folder: &Path) -> Result<Command> {
    let mut command = Command::new(binary);
    let log = std::fs::OpenOptions::new().create(true).append(true).open(folder.join("processes.log"))?;
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).kill_on_drop(true);
    command.env("NATS_URL", nats.url()).env("RUST_LOG", "warn");
    command.env("NATS_USER", nats.user()).env("NATS_PASSWORD", nats.password());
    Ok(command)
}
