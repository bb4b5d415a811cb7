//! The nats-server of `streamspace dev`: started on the folder's own store, and started again when it dies.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use streams::connect::{Secret, backoff};
use streams::server::{Error, Server, ServerOptions, find};
use tokio_util::sync::CancellationToken;

use super::folder::{Folder, Secrets};
use super::room::Room;
use crate::children::{Child, Ledger};
use crate::failure::{Failure, Kind};

const MORE_PORTS: usize = 2;
/// Clients wait for it meanwhile, so there is no reason to wait long.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// How it is run: the folder's own store, credentials and port.
pub(super) async fn options(
    folder: &Folder,
    secrets: &Secrets,
    named: Option<&Path>,
) -> Result<ServerOptions, Failure> {
    let binary = find(named).await.map_err(failure)?.path;
    Ok(ServerOptions {
        binary,
        store_dir: folder.join("nats"),
        port: secrets.nats_port,
        user: secrets.nats_user.clone(),
        password: Secret::new(secrets.nats_password.clone()),
        sync_interval: None, // SQL is the truth: what a power cut takes from the streams is sent again
        log_file: Some(folder.join("logs/nats-server.log")),
    })
}

/// Starts it, and waits until it can be used. Between looking for a port and taking it, somebody else may take it.
pub(super) async fn start(
    mut options: ServerOptions,
    folder: &Folder,
    secrets: &Secrets,
) -> Result<(Server, ServerOptions), Failure> {
    for _ in 0..MORE_PORTS {
        match Server::start(options.clone()).await {
            Ok(server) => return Ok((server, options)),
            Err(Error::PortTaken { .. } | Error::Died { .. }) => options.port = secrets.elsewhere(folder)?.nats_port,
            Err(error) => return Err(failure(error)),
        }
    }
    let server = Server::start(options.clone()).await.map_err(failure)?;
    Ok((server, options))
}

fn failure(error: Error) -> Failure {
    let kind = match error {
        Error::NotFound { .. } => Kind::Usage,
        Error::PortTaken { .. } => Kind::Conflict,
        _ => Kind::Unavailable,
    };
    Failure::because(kind, "nats-server", &error)
}

/// Keeps it running until `cancel`; then it has ended.
pub(super) async fn keep(
    mut server: Server,
    options: ServerOptions,
    ledger: Arc<Ledger>,
    cancel: CancellationToken,
    hurry: CancellationToken,
) {
    let mut room = Room::of(options.store_dir.clone());
    loop {
        let child = note(&server, &ledger);
        let ended = tokio::select! {
            ended = server.wait() => ended,
            () = room.returned() => server.stop().await, // its streams refuse everything from the first failed write on
            () = cancel.cancelled() => break stop(server, child.as_ref(), &ledger, &hurry).await,
        };
        let how = ended.map_or_else(|e| e.to_string(), |status| status.to_string());
        tracing::warn!(
            child.name = "nats-server",
            child.pid = server.pid(),
            how,
            "ended, or its disk had been full; starting it again"
        );
        forget(child.as_ref(), &ledger);
        match cancel.run_until_cancelled(again(&options)).await {
            Some(fresh) => server = fresh,
            None => break,
        }
    }
}

/// The same server on the same port; everybody who was connected finds it there.
async fn again(options: &ServerOptions) -> Server {
    let mut attempt = 0;
    loop {
        match Server::start(options.clone()).await {
            Ok(server) => return server,
            Err(error) => tracing::error!(child.name = "nats-server", %error, "could not be started"),
        }
        attempt += 1;
        tokio::time::sleep((backoff(attempt) * 4).min(LONGEST_PAUSE)).await;
    }
}

async fn stop(mut server: Server, child: Option<&Child>, ledger: &Ledger, hurry: &CancellationToken) {
    let stopped = match hurry.run_until_cancelled(server.stop()).await {
        Some(stopped) => stopped,
        None => server.kill().await,
    };
    match stopped {
        Ok(_) => forget(child, ledger),
        Err(error) => tracing::error!(child.name = "nats-server", %error, "lives on"),
    }
}

fn note(server: &Server, ledger: &Ledger) -> Option<Child> {
    tracing::info!(child.name = "nats-server", child.pid = server.pid(), nats.url = server.url(), "started");
    let noted = ledger.note("nats-server", server.pid() as i32);
    noted.inspect_err(|error| tracing::warn!(child.name = "nats-server", %error, "could not be written down")).ok()
}

fn forget(child: Option<&Child>, ledger: &Ledger) {
    if let Some(Err(error)) = child.map(|child| ledger.forget(child)) {
        tracing::warn!(child.name = "nats-server", %error, "could not be struck out");
    }
}
