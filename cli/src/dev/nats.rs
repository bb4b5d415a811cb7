//! The nats-server of `streamspace dev`: its store is in the data folder, and it is restarted when it dies.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use streams::connect::{Secret, backoff};
use streams::permissions::Role;
use streams::server::{Error, Server, ServerOptions, find};
use tokio_util::sync::CancellationToken;

use super::disk_space::DiskSpace;
use super::folder::{Folder, Secrets};
use crate::children::{Child, Ledger};
use crate::failure::{Failure, Kind};
use crate::nats_config::{Holder, Keys};

const MORE_PORTS: usize = 2;
/// Clients are waiting meanwhile, so the pause stays short.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Seeds of the engine and of the controller of this folder. The server knows these two, and the developer's password.
pub(super) fn keys(folder: &Folder, controller: &Holder) -> Result<Keys, Failure> {
    let mut keys = Keys::create(&folder.join("nats-keys"), None, true)?;
    if let Holder::Controller(platform, id) = controller {
        keys.add(platform, id)?;
    }
    Ok(keys)
}

/// Its store, credentials and port.
pub(super) async fn options(
    folder: &Folder,
    secrets: &Secrets,
    keys: &Keys,
    named: Option<&Path>,
) -> Result<ServerOptions, Failure> {
    let binary = find(named).await.map_err(failure)?.path;
    Ok(ServerOptions {
        binary,
        store_dir: folder.join("nats"),
        port: secrets.nats_port,
        user: secrets.nats_user.clone(),
        password: Secret::new(secrets.nats_password.clone()),
        role: Some(Role::Developer),
        users: keys.users(),
        sync_interval: None, // SQL is the source of truth: messages lost in a power cut are sent again
        log_file: Some(folder.join("logs/nats-server.log")),
    })
}

/// Starts it and waits until it is ready. Another process may take the port before it does.
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

/// Keeps it running until `cancel`, and then stops it.
pub(super) async fn keep(
    mut server: Server,
    options: ServerOptions,
    ledger: Arc<Ledger>,
    cancel: CancellationToken,
    hurry: CancellationToken,
) {
    let mut space = DiskSpace::of(options.store_dir.clone());
    loop {
        let child = note(&server, &ledger);
        let ended = tokio::select! {
            ended = server.wait() => ended,
            () = space.returned() => server.stop().await, // after a failed write its streams refuse everything
            () = cancel.cancelled() => break stop(server, child.as_ref(), &ledger, &hurry).await,
        };
        let how = ended.map_or_else(|e| e.to_string(), |status| status.to_string());
        tracing::warn!(
            child.name = "nats-server",
            child.pid = server.pid(),
            how,
            "ended, or its disk had been full; restarting it"
        );
        forget(child.as_ref(), &ledger);
        match cancel.run_until_cancelled(again(&options)).await {
            Some(fresh) => server = fresh,
            None => break,
        }
    }
}

/// Starts it again on the same port, where its clients reconnect.
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
        Err(error) => tracing::error!(child.name = "nats-server", %error, "cannot be stopped"),
    }
}

fn note(server: &Server, ledger: &Ledger) -> Option<Child> {
    tracing::info!(child.name = "nats-server", child.pid = server.pid(), nats.url = server.url(), "started");
    let noted = ledger.note("nats-server", server.pid() as i32);
    noted.inspect_err(|error| tracing::warn!(child.name = "nats-server", %error, "could not be recorded")).ok()
}

fn forget(child: Option<&Child>, ledger: &Ledger) {
    if let Some(Err(error)) = child.map(|child| ledger.forget(child)) {
        tracing::warn!(child.name = "nats-server", %error, "could not be removed from the ledger");
    }
}
