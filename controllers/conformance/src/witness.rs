//! What can be seen besides the wire: the page behind a URL, and what the witness lists.

use std::collections::BTreeSet;
use std::process::Stdio;
use std::time::Duration;

use reqwest::{Client, Method, Url};
use tokio::process::Command;
use tokio::sync::Mutex;
use tokio::time::Instant;
use uuid::Uuid;

/// How long one request, or one call of the witness, may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// A command that lists what really exists, one thing a line. Those who ask at the same time share one call.
pub(crate) struct Witness {
    command: String,
    /// What it listed last, and when that call began.
    last: Mutex<Option<(Instant, String)>>,
}

impl Witness {
    pub(crate) fn new(command: String) -> Self {
        Self { command, last: Mutex::default() }
    }

    /// The lines that name a session, as they are now.
    pub(crate) async fn lines(&self, session: Uuid) -> Result<BTreeSet<String>, String> {
        let (dashed, plain, asked) = (session.to_string(), session.simple().to_string(), Instant::now());
        let mut last = self.last.lock().await;
        if last.as_ref().is_none_or(|(began, _)| *began < asked) {
            let began = Instant::now();
            *last = Some((began, self.call().await?));
        }
        let all = last.as_ref().map(|(_, all)| all.as_str()).unwrap_or_default();
        Ok(all.lines().filter(|line| line.contains(&dashed) || line.contains(&plain)).map(str::to_owned).collect())
    }

    async fn call(&self) -> Result<String, String> {
        let mut command = Command::new("sh");
        command.args(["-c", &self.command]).stdin(Stdio::null()).kill_on_drop(true);
        let output = tokio::time::timeout(PATIENCE, command.output()).await;
        let output = output.map_err(|_| format!("the witness was not done within {PATIENCE:?}"))?;
        let output = output.map_err(|error| format!("the witness could not be started: {error}"))?;
        if !output.status.success() {
            return Err(format!("the witness failed: {}", String::from_utf8_lossy(&output.stderr).trim()));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

/// Opens URLs.
pub(crate) struct Browser {
    client: Option<Client>,
    write_path: String,
}

impl Browser {
    /// One that opens nothing where `opens` is false.
    pub(crate) fn new(opens: bool, write_path: String) -> Self {
        let built = || Client::builder().timeout(PATIENCE).no_proxy().build().ok();
        Self { client: opens.then(built).flatten(), write_path }
    }

    /// The URL as something that can be opened; `None` where it is not to be opened, or is nowhere by its name (RFC 6761).
    fn address(&self, url: &str) -> Option<(&Client, Url)> {
        let url = Url::parse(url).ok()?;
        let nowhere = url.host_str().is_none_or(|host| host.ends_with(".invalid"));
        self.client.as_ref().filter(|_| !nowhere).map(|client| (client, url))
    }

    /// Opens it; false where it is not to be opened.
    pub(crate) async fn open(&self, url: &str) -> Result<bool, String> {
        let Some((client, address)) = self.address(url) else { return Ok(false) };
        let answer = client.get(address).send().await.map_err(|error| format!("{url} does not open: {error}"))?;
        let status = answer.status();
        if status.is_server_error() { Err(format!("{url} answers {status}")) } else { Ok(true) }
    }

    /// Writes a text; false where the page takes none.
    pub(crate) async fn write(&self, url: &str, text: &str) -> Result<bool, String> {
        let Some((client, address)) = self.address(url) else { return Ok(false) };
        let Ok(notes) = address.join(&self.write_path) else { return Ok(false) };
        let answer = client.request(Method::PUT, notes).body(text.to_owned()).send().await;
        let answer = answer.map_err(|error| format!("PUT to {url} failed: {error}"))?;
        Ok(answer.status().is_success())
    }

    /// Reads it back.
    pub(crate) async fn read(&self, url: &str) -> Result<String, String> {
        let (client, address) = self.address(url).ok_or("it cannot be opened")?;
        let notes = address.join(&self.write_path).map_err(|error| error.to_string())?;
        let answer = client.get(notes).send().await.map_err(|error| format!("GET of {url} failed: {error}"))?;
        answer.text().await.map_err(|error| error.to_string())
    }
}
