//! When a process counts as running: its port answers, and with a path, that path answers below 500.

use std::{fs::File, io, io::Read, io::Seek, io::SeekFrom, net::Ipv4Addr, path::Path, time::Duration};

use streams::{
    duration,
    wire::{Failure, Readiness},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, sleep, timeout},
};

use super::process::{Exit, Process};
use crate::driver::retryable;

const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);
const ONE_ANSWER: Duration = Duration::from_secs(5);
const LOG_BYTES: i64 = 4096;
const LOG_LINES: usize = 8;

/// Waits until the process is ready, has ended, or has had its time.
pub(super) async fn wait(port: u16, readiness: &Readiness, process: &Process, log: &Path) -> Result<(), Failure> {
    let patience = readiness.timeout.as_deref().and_then(|text| duration::parse(text).ok()).unwrap_or(DEFAULT_TIMEOUT);
    let mut last = None;
    let ready = async {
        let mut pause = FIRST_PAUSE;
        while let Err(e) = probe(port, readiness.path.as_deref()).await {
            last = Some(e);
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    };
    let deadline = Instant::now() + patience;
    tokio::select! {
        biased;
        exit = process.exited() => return Err(ended(exit, log)),
        () = ready => {}
        () = tokio::time::sleep_until(deadline) => {
            let last = last.map(|e| format!(" ({e})")).unwrap_or_default();
            let message = format!("port {port} was not ready within {patience:?}{last}{}", tail(log));
            return Err(retryable("not_ready", message));
        }
    }
    // Whoever answered is ours only if ours is still there: a process that found its port taken is gone by now.
    if process.alive() { Ok(()) } else { Err(ended(process.exited().await, log)) }
}

/// Its own fault, most likely, so it opens no breaker; another attempt may still do.
fn ended(exit: Exit, log: &Path) -> Failure {
    let message = format!("the process {exit} before it was ready{}", tail(log));
    Failure { user_error: true, ..retryable("process_exited", message) }
}

async fn probe(port: u16, path: Option<&str>) -> io::Result<()> {
    let answer = async {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
        let Some(path) = path else { return Ok(()) };
        let request = format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut head = [0; 12]; // "HTTP/1.1 200"
        stream.read_exact(&mut head).await?;
        status(&head)
            .filter(|code| *code < 500)
            .map(drop)
            .ok_or_else(|| io::Error::other(format!("GET {path} answered {:?}", String::from_utf8_lossy(&head))))
    };
    timeout(ONE_ANSWER, answer).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}

fn status(head: &[u8]) -> Option<u16> {
    std::str::from_utf8(head).ok()?.strip_prefix("HTTP/1.")?.get(2..)?.parse().ok()
}

/// The last lines that the process wrote, ready to be put behind a message.
pub(super) fn tail(log: &Path) -> String {
    let read = || -> io::Result<Vec<u8>> {
        let mut file = File::open(log)?;
        let from = file.metadata()?.len().cast_signed().saturating_sub(LOG_BYTES).max(0);
        file.seek(SeekFrom::Start(from.cast_unsigned()))?;
        let mut bytes = Vec::new();
        file.take(LOG_BYTES.cast_unsigned()).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = read().unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let lines = text.lines().filter(|line| !line.trim().is_empty()).collect::<Vec<_>>();
    let last = lines.get(lines.len().saturating_sub(LOG_LINES)..).unwrap_or_default();
    if last.is_empty() { "; it wrote nothing".into() } else { format!("; it wrote last: {}", last.join("\n")) }
}

#[cfg(test)]
mod tests {
    use super::status;

    #[test]
    fn the_status_is_read_from_the_first_line() {
        assert_eq!(status(b"HTTP/1.1 404"), Some(404));
        assert_eq!(status(b"HTTP/1.0 200"), Some(200));
        assert_eq!(status(b"SSH-2.0-Open"), None);
    }
}
