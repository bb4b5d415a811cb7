//! Requests over NATS with a plain NATS client.

mod access;
mod answers;
mod life;
mod limits;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use poem::Response;
use poem::endpoint::BoxEndpoint;
use serde_json::Value;
use streams::async_nats::{self, Client, HeaderMap, Message};
use streams::testing::Nats;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::app::App;

/// An API that also listens on NATS, and a NATS client.
pub(super) struct Desk {
    pub(super) app: App,
    pub(super) client: Client,
    pub(super) cancel: CancellationToken,
    pub(super) serving: JoinHandle<()>,
}

/// A reply.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) json: Value,
}

impl Reply {
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.as_str()).unwrap_or_default()
    }

    /// The type of its problem.
    pub(super) fn problem(&self) -> &str {
        assert_eq!(self.header("Content-Type"), "application/problem+json", "{self:?}");
        self.json["type"].as_str().unwrap_or_default().trim_start_matches("/problems/")
    }
}

impl From<Message> for Reply {
    fn from(message: Message) -> Self {
        let headers = message.headers.unwrap_or_default();
        let status = headers.get("Status").and_then(|status| status.as_str().parse().ok()).unwrap_or_default();
        Self { status, json: serde_json::from_slice(&message.payload).unwrap_or_default(), headers }
    }
}

impl Desk {
    pub(super) async fn open() -> Result<Self> {
        Self::with(|_| {}).await
    }

    pub(super) async fn with(change: impl FnOnce(&mut api::Config)) -> Result<Self> {
        let app = App::with(change).await?;
        let client = plain(&app.nats).await?;
        let cancel = CancellationToken::new();
        let serving =
            serve(app.endpoint.clone(), app.config.clone(), app.engine.link().client.clone(), cancel.clone()).await?;
        Ok(Self { app, client, cancel, serving })
    }

    /// Sends a request as a user, with a payload.
    pub(super) async fn ask(&self, user: &str, name: &str, payload: impl Into<bytes::Bytes>) -> Result<Reply> {
        self.ask_with(user, name, HeaderMap::new(), payload).await
    }

    pub(super) async fn ask_with(
        &self,
        user: &str,
        name: &str,
        headers: HeaderMap,
        payload: impl Into<bytes::Bytes>,
    ) -> Result<Reply> {
        let subject = format!("streamspace.intake.{user}.{name}");
        Ok(self.client.request_with_headers(subject, headers, payload.into()).await?.into())
    }
}

/// A plain client.
pub(super) async fn plain(nats: &Nats) -> Result<Client> {
    let config = nats.config("a plain client");
    let password = config.password.as_ref().map(|password| password.expose().to_owned()).unwrap_or_default();
    let options = async_nats::ConnectOptions::with_user_and_password(config.user.unwrap_or_default(), password);
    Ok(options.request_timeout(Some(Duration::from_secs(20))).connect(config.url).await?)
}

/// Subscribes; active once this returns.
pub(super) async fn serve(
    endpoint: Arc<BoxEndpoint<'static, Response>>,
    config: api::Config,
    client: Client,
    cancel: CancellationToken,
) -> Result<JoinHandle<()>> {
    let serving = tokio::spawn(api::nats_gateway::serve(endpoint, config, client.clone(), cancel));
    listening(&client).await?;
    Ok(serving)
}

/// Waits until requests are answered; before that the server reports that there are no responders.
pub(super) async fn listening(client: &Client) -> Result<()> {
    let probe = async || client.request("streamspace.intake.probe.platform.list", "".into()).await.is_ok();
    crate::app::until("somebody listens", probe).await;
    Ok(())
}
