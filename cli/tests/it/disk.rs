//! `streamspace dev` on a small file system that another file fills: accepted changes survive a kill, changes
//! that cannot be kept are refused, and it recovers by itself.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, ensure};
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};
use streams::testing::disk::SmallDisk;

use crate::dev::Dev;

const SMALL: [(&str, &str); 3] = [
    ("STREAMSPACE_COMMANDS_MAX_BYTES", "16Mi"),
    ("STREAMSPACE_REPORTS_MAX_BYTES", "16Mi"),
    ("STREAMSPACE_DEAD_LETTERS_MAX_BYTES", "16Mi"),
];

/// The API of the running `dev`.
struct Api {
    client: Client,
    base: String,
    token: String,
}

impl Api {
    fn of(dev: &Dev) -> anyhow::Result<Self> {
        let _ = rustls::crypto::ring::default_provider().install_default(); // another test may have done it
        let endpoints = std::fs::read(dev.folder.path().join("data/endpoints.json")).context("endpoints")?;
        let endpoints: Value = serde_json::from_slice(&endpoints)?;
        let text =
            |name: &str| endpoints[name].as_str().map(str::to_owned).with_context(|| format!("{name} in {endpoints}"));
        Ok(Self { client: Client::new(), base: text("http")?, token: text("admin_token")? })
    }

    async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> anyhow::Result<(StatusCode, Value)> {
        let request = self.client.request(method, format!("{}{path}", self.base)).bearer_auth(&self.token);
        let request = request.timeout(Duration::from_secs(20));
        let request = if let Some(body) = body { request.json(&body) } else { request };
        let answer = request.send().await?;
        Ok((answer.status(), answer.json().await.unwrap_or_default()))
    }

    async fn create(&self) -> anyhow::Result<(StatusCode, String)> {
        let padding: BTreeMap<_, _> = (0..10).map(|n| (format!("padding-{n}"), "x".repeat(1_000))).collect();
        let body = json!({ "template_id": "scratchpad", "metadata": padding });
        let (status, answer) = self.ask(Method::POST, "/api/v1/sessions", Some(body)).await?;
        ensure!([StatusCode::ACCEPTED, StatusCode::SERVICE_UNAVAILABLE].contains(&status), "{status} {answer}");
        Ok((status, answer["session_id"].as_str().unwrap_or_default().to_owned()))
    }

    async fn until_ready(&self, ready: bool) -> anyhow::Result<()> {
        for _ in 0..1_500 {
            if self.ask(Method::GET, "/readyz", None).await.is_ok_and(|(status, _)| status.is_success() == ready) {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let said = self.ask(Method::GET, "/readyz", None).await;
        anyhow::bail!("readyz should have said {ready}: {said:?}")
    }
}

/// Accepted sessions, with their requested states.
#[derive(Default)]
struct Accepted(BTreeMap<String, &'static str>);

impl Accepted {
    /// Creates sessions and deletes old ones on a full disk; returns how many requests were refused.
    async fn ask(&mut self, api: &Api, times: usize) -> anyhow::Result<usize> {
        let mut refused = 0;
        for n in 0..times {
            let (status, id) = api.create().await?;
            refused += usize::from(status != StatusCode::ACCEPTED);
            if status == StatusCode::ACCEPTED {
                self.0.insert(id, "running");
            }
            let old = self.0.iter().find(|(_, desired)| **desired == "running").map(|(id, _)| id.clone());
            let Some(old) = old.filter(|_| n % 3 == 2) else { continue };
            let (status, _) = api.ask(Method::DELETE, &format!("/api/v1/sessions/{old}"), None).await?;
            // 200 for one that no controller has yet: it is deleted already
            if status.is_success() {
                self.0.insert(old, "deleted");
            }
        }
        Ok(refused)
    }

    /// Every accepted session exists in its requested state.
    async fn are_kept(&self, api: &Api) -> anyhow::Result<()> {
        for (id, desired) in &self.0 {
            let (status, session) = api.ask(Method::GET, &format!("/api/v1/sessions/{id}"), None).await?;
            ensure!(status == StatusCode::OK, "{id} was accepted and is gone: {status} {session}");
            ensure!(session["desired"] == *desired, "{id} was to be {desired}: {session}");
        }
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_full_disk_nothing_is_accepted_that_is_not_kept_and_room_is_all_it_needs() -> anyhow::Result<()> {
    let Some(disk) = SmallDisk::mount(100)? else { return Ok(()) };
    let mut dev = Dev::new()?;
    std::fs::create_dir(disk.path().join("data"))?;
    std::os::unix::fs::symlink(disk.path().join("data"), dev.folder.path().join("data"))?;
    dev.start_with(&SMALL)?;
    let (mut api, mut accepted) = (Api::of(&dev)?, Accepted::default());
    api.until_ready(true).await?;
    ensure!(accepted.ask(&api, 2).await? == 0, "there is room");
    for round in 0..2 {
        disk.fill()?;
        let mut refused = 0;
        for _ in 0..20 {
            refused += accepted.ask(&api, 5).await?;
            disk.fill()?; // the write-ahead log first uses up the space that it has reserved
            if refused > 10 {
                break;
            }
        }
        ensure!(refused > 10, "round {round}: the disk was never full, so nothing was proved");
        api.until_ready(false).await?;
        let doctor = dev.tell(&["doctor"])?;
        ensure!(doctor.code != Some(0) && doctor.out.contains("nothing is accepted now"), "{doctor:?}");
        if round == 0 {
            dev.kill()?;
            disk.free()?;
            dev.start_with(&SMALL)?;
            api = Api::of(&dev)?;
        } else {
            disk.free()?; // and nothing else
        }
        api.until_ready(true).await?;
        accepted.are_kept(&api).await?;
        ensure!(accepted.ask(&api, 3).await? == 0, "round {round}: there is room again");
    }
    dev.kill()?;
    dev.start_with(&SMALL)?;
    api = Api::of(&dev)?;
    api.until_ready(true).await?;
    accepted.are_kept(&api).await
}
