//! The notes page keeps what was written.

use std::net::TcpListener;
use std::path::Path;
use std::process::Stdio;

use anyhow::ensure;
use reqwest::{Client, StatusCode};
use tempfile::tempdir;

use crate::program::{Running, program};

struct Page {
    process: Running,
    url: String,
    http: Client,
}

impl Page {
    async fn open(home: &Path) -> anyhow::Result<Self> {
        let _ = rustls::crypto::ring::default_provider().install_default(); // another test did
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let arguments = ["scratchpad", "--port", &port.to_string(), "--home", &home.display().to_string()];
        let process = Running(program(home, &arguments).stderr(Stdio::null()).spawn()?);
        let page = Self { process, url: format!("http://127.0.0.1:{port}"), http: Client::new() };
        let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(30);
        while page.http.get(&page.url).send().await.is_err() {
            ensure!(tokio::time::Instant::now() < deadline, "it does not come up");
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        Ok(page)
    }

    async fn notes(&self) -> anyhow::Result<String> {
        Ok(self.http.get(format!("{}/notes", self.url)).send().await?.error_for_status()?.text().await?)
    }

    async fn write(&self, notes: impl Into<reqwest::Body>) -> anyhow::Result<StatusCode> {
        Ok(self.http.put(format!("{}/notes", self.url)).body(notes).send().await?.status())
    }
}

#[tokio::test]
async fn notes_survive_a_restart() -> anyhow::Result<()> {
    let home = tempdir()?;
    let mut page = Page::open(home.path()).await?;
    ensure!(page.notes().await?.is_empty());
    ensure!(page.write("milk, Käse\n").await? == StatusCode::NO_CONTENT);
    ensure!(page.process.stop()? == Some(0), "it does not end well");
    let mut page = Page::open(home.path()).await?;
    ensure!(page.notes().await? == "milk, Käse\n");
    page.process.kill()?;
    ensure!(Page::open(home.path()).await?.notes().await? == "milk, Käse\n");
    Ok(())
}

#[tokio::test]
async fn what_is_refused_leaves_the_notes_as_they_were() -> anyhow::Result<()> {
    let home = tempdir()?;
    let page = Page::open(home.path()).await?;
    page.write("kept").await?;
    ensure!(page.write(vec![b'x'; (1 << 20) + 1]).await? == StatusCode::PAYLOAD_TOO_LARGE);
    ensure!(page.write(vec![0xff, 0xfe]).await? == StatusCode::BAD_REQUEST);
    ensure!(page.notes().await? == "kept");
    Ok(())
}

#[tokio::test]
async fn the_page_is_whole_in_itself() -> anyhow::Result<()> {
    let home = tempdir()?;
    let page = Page::open(home.path()).await?;
    let answer = page.http.get(&page.url).send().await?;
    ensure!(answer.headers().contains_key("content-security-policy"));
    let text = answer.text().await?;
    ensure!(text.contains("<textarea") && !text.contains("http://") && !text.contains("https://"));
    Ok(())
}
