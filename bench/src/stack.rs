//! nats-server, `streamspace serve` and controllers as separate processes that can be killed and restarted.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use migrations::connect::Database;
use migrations::testing::TestDatabase;
use sea_orm::{ConnectionTrait, Statement};
use serde::Serialize;
use serde_json::{Value, json};
use streams::testing::Nats;
use tempfile::TempDir;

pub use crate::process::Process;

/// A kind of database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Backend {
    /// WAL, `synchronous = FULL`.
    Sqlite,
    /// `synchronous_commit = on`.
    Postgres,
}

impl Backend {
    /// Its fsync mode, to be shown with the figures.
    #[must_use]
    pub const fn durability(self) -> &'static str {
        match self {
            Self::Sqlite => "synchronous=FULL",
            Self::Postgres => "synchronous_commit=on",
        }
    }

    /// Creates a database that is removed with its handle.
    ///
    /// # Errors
    /// It cannot be created.
    pub async fn database(self) -> Result<TestDatabase> {
        match self {
            Self::Sqlite => Ok(TestDatabase::sqlite().await?),
            Self::Postgres => Ok(TestDatabase::postgres().await?),
        }
    }
}

/// A heartbeat interval so long that a controller can be stopped for a whole run without being missed.
pub const PATIENT: (&str, &str) = ("HEARTBEAT_INTERVAL", "60s");

/// The running processes.
#[derive(Debug)]
pub struct Stack {
    /// Base URL of the API.
    pub http: String,
    /// The API's token.
    pub token: String,
    /// The database, for reading the log.
    pub database: Database,
    /// The engine and its API.
    pub serve: Process,
    /// Its nats-server.
    pub nats: Nats,
    /// Folder of the processes.
    pub folder: TempDir,
    client: reqwest::Client,
    environment: HashMap<String, String>,
    _database: TestDatabase,
}

impl Stack {
    /// Starts everything but controllers. `more` is added to the environment of `serve`.
    ///
    /// # Errors
    /// A process cannot be started.
    pub async fn start(binary: &Path, backend: Backend, more: &[(&str, String)]) -> Result<Self> {
        Self::on(backend.database().await?, binary, more).await
    }

    /// The same on a database that may contain data.
    ///
    /// # Errors
    /// See [`Self::start`].
    pub async fn on(owned: TestDatabase, binary: &Path, more: &[(&str, String)]) -> Result<Self> {
        Self::with(owned, streams::testing::nats().await, binary, more)
    }

    /// The same on a nats-server that is running already.
    ///
    /// # Errors
    /// See [`Self::start`].
    pub fn with(owned: TestDatabase, nats: Nats, binary: &Path, more: &[(&str, String)]) -> Result<Self> {
        let _ = rustls::crypto::ring::default_provider().install_default(); // an installed one serves as well
        let folder = tempfile::tempdir()?;
        let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let config = nats.config("bench");
        let mut environment = HashMap::from([
            ("NATS_URL".to_owned(), config.url),
            ("NATS_USER".to_owned(), config.user.unwrap_or_default()),
            ("RUST_LOG".to_owned(), std::env::var("BENCH_LOG").unwrap_or_else(|_| "warn".into())),
        ]);
        if let Some(password) = config.password {
            environment.insert("NATS_PASSWORD".into(), password.expose().to_owned());
        }
        let token = "a-token-of-this-run-only".to_owned();
        let mut serving = environment.clone();
        serving.insert("DATABASE_URL".into(), owned.url.clone());
        serving.insert("STREAMSPACE_ADMIN_TOKEN".into(), token.clone());
        for unlimited in ["STREAMSPACE_RATE_LIMIT", "STREAMSPACE_ADDRESS_RATE_LIMIT"] {
            serving.insert(unlimited.into(), "0".into()); // measure the system, not its limit
        }
        serving.insert("STREAMSPACE_CONTROLLERS_ADMISSION".into(), "open".into()); // no other client uses this bus
        serving.insert("STREAMSPACE_DEFAULT_PLATFORM".into(), "noop".into()); // known before its controllers come
        serving.extend(more.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
        let arguments = vec!["serve".into(), "--http-addr".into(), format!("127.0.0.1:{port}")];
        let serve = Process::start(binary, arguments, serving, folder.path().join("serve.log"))?;
        let (http, database) = (format!("http://127.0.0.1:{port}"), owned.database.clone());
        let client = reqwest::Client::builder().timeout(Duration::from_secs(10)).build()?;
        Ok(Self { http, token, database, serve, nats, folder, client, environment, _database: owned })
    }

    /// Starts another `serve` on the same database and NATS; returns its base URL and process.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn serve_beside(&self) -> Result<(String, Process)> {
        let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let arguments = vec!["serve".into(), "--http-addr".into(), format!("127.0.0.1:{port}")];
        let log = self.folder.path().join(format!("serve-{port}.log"));
        Ok((format!("http://127.0.0.1:{port}"), self.serve.like(arguments, log)?))
    }

    /// Starts a controller.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn controller(&self, id: &str, platform: &str, more: &[(&str, String)]) -> Result<Process> {
        self.host(id, id, platform, more)
    }

    /// Starts a controller on a host with this name and a platform of its own.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn host(&self, host: &str, id: &str, platform: &str, more: &[(&str, String)]) -> Result<Process> {
        let mut environment = self.environment.clone();
        for (name, value) in [("CONTROLLER_ID", id), ("CONTROLLER_PLATFORM", platform), ("HEARTBEAT_INTERVAL", "1s")] {
            environment.insert(name.into(), value.into());
        }
        environment.extend(more.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
        let state = self.folder.path().join(format!("state-{host}"));
        let arguments = vec!["controller".into(), "--state-dir".into(), state.display().to_string()];
        Process::start(self.serve.binary(), arguments, environment, self.folder.path().join(format!("{host}.log")))
    }

    /// Waits until so many controllers are healthy.
    ///
    /// # Errors
    /// They are not within 30 s.
    pub async fn ready(&self, controllers: usize) -> Result<()> {
        for _ in 0..600 {
            let listed = self.request(reqwest::Method::GET, "/controllers", None).await;
            let items = listed.ok().and_then(|(_, body)| body["items"].as_array().cloned()).unwrap_or_default();
            if items.iter().filter(|item| item["accepting"] == true).count() >= controllers {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        bail!("{controllers} controllers did not become healthy within 30 s")
    }

    /// Sends a request; returns status and body of the answer.
    ///
    /// # Errors
    /// There is no answer.
    pub async fn request(&self, method: reqwest::Method, path: &str, body: Option<&Value>) -> Result<(u16, Value)> {
        let request = self.client.request(method, format!("{}/api/v1{path}", self.http)).bearer_auth(&self.token);
        let request = match body {
            Some(body) => request.json(body),
            None => request,
        };
        let answer = request.send().await?;
        let status = answer.status().as_u16();
        let text = answer.text().await?;
        Ok((status, serde_json::from_str(&text).unwrap_or_else(|_| json!(text))))
    }

    /// Id of the newest row of the log.
    ///
    /// # Errors
    /// It cannot be read.
    pub async fn newest_event(&self) -> Result<i64> {
        let sql = "SELECT coalesce(max(id), 0) AS id FROM event_log";
        let row = self.database.reader.query_one_raw(Statement::from_string(self.database.backend, sql)).await?;
        Ok(row.context("a row")?.try_get("", "id")?)
    }

    /// The last log lines of all processes, for the investigation of a failure.
    #[must_use]
    pub fn logs(&self) -> String {
        let files = std::fs::read_dir(self.folder.path()).into_iter().flatten().flatten();
        let logs = files.filter(|file| file.path().extension().is_some_and(|end| end == "log"));
        let tail = |text: String| {
            text.lines().rev().take(15).collect::<Vec<_>>().into_iter().rev().collect::<Vec<_>>().join("\n")
        };
        logs.map(|file| {
            format!(
                "== {}\n{}\n",
                file.path().display(),
                tail(std::fs::read_to_string(file.path()).unwrap_or_default())
            )
        })
        .collect()
    }
}
