//! Asks a session's port: it has to accept, and with a path, to answer below 500.

use std::{io, time::Duration};

use controllers::probe;
use tokio::time::timeout;

use super::connections::Probes;

/// One question, with a bound.
pub(super) async fn ask(probes: &Probes, port: u16, path: Option<&str>, within: Duration) -> io::Result<()> {
    let answer = async {
        let connection = probes.connect(port).await?;
        let Some(path) = path else { return Ok(()) };
        probe::answers(connection, &format!("127.0.0.1:{port}"), path).await
    };
    timeout(within, answer).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}
