//! Asks a program over HTTP whether it answers: what readiness and liveness come to, on every platform.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// Asks for a path of `host` over a connection, which is used up; it has to be answered below 500. The caller bounds the time.
///
/// # Errors
/// The connection failed, or the answer is another one.
pub async fn answers(mut connection: impl AsyncRead + AsyncWrite + Unpin, host: &str, path: &str) -> io::Result<()> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    connection.write_all(request.as_bytes()).await?;
    let mut head = [0; 12]; // "HTTP/1.1 200"
    connection.read_exact(&mut head).await?;
    let wrong = || io::Error::other(format!("GET {path} answered {:?}", String::from_utf8_lossy(&head)));
    status(&head).filter(|code| *code < 500).map(drop).ok_or_else(wrong)
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
