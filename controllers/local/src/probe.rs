//! Asks a session's port: it has to accept, and with a path, to answer below 500.

use std::{io, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};

use super::connections::Probes;

/// One question, with a bound.
pub(super) async fn ask(probes: &Probes, port: u16, path: Option<&str>, within: Duration) -> io::Result<()> {
    let answer = async {
        let mut stream = probes.connect(port).await?;
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
    timeout(within, answer).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}

fn status(head: &[u8]) -> Option<u16> {
    std::str::from_utf8(head).ok()?.strip_prefix("HTTP/1.")?.get(2..)?.parse().ok()
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
