//! What a client may rely on while a server is told to stop: whoever was let in is answered.

use std::time::Duration;

use anyhow::Result;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use crate::app::{App, config};

const ASK: &[u8] = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";

/// One answer, as far as it came before the connection went quiet or ended.
async fn answer(socket: &mut TcpStream) -> Result<String> {
    let mut text = Vec::new();
    let mut piece = [0; 4096];
    while !String::from_utf8_lossy(&text).contains("\r\n\r\n") {
        match tokio::time::timeout(Duration::from_secs(10), socket.read(&mut piece)).await?? {
            0 => break,
            length => text.extend_from_slice(&piece[..length]),
        }
    }
    Ok(String::from_utf8_lossy(&text).to_lowercase())
}

#[tokio::test]
async fn a_connection_that_was_made_before_the_stop_still_gets_its_answer_and_is_told_to_leave() -> Result<()> {
    let app = App::start().await?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let (address, cancel) = (listener.local_addr()?, CancellationToken::new());
    let server = tokio::spawn(api::serve(listener, config(), app.engine.clone(), cancel.clone()));
    let (mut used, mut fresh) = (TcpStream::connect(address).await?, TcpStream::connect(address).await?);
    used.write_all(ASK).await?;
    assert!(answer(&mut used).await?.starts_with("http/1.1 200"));
    let mut queued = TcpStream::connect(address).await?; // not accepted yet: this test has one thread
    cancel.cancel();
    tokio::task::yield_now().await;
    for (what, socket) in [("used", &mut used), ("fresh", &mut fresh), ("queued", &mut queued)] {
        socket.write_all(ASK).await?;
        let answer = answer(socket).await?;
        assert!(answer.starts_with("http/1.1 200") && answer.contains("connection: close"), "{what}: {answer:?}");
    }
    server.await??;
    assert!(TcpStream::connect(address).await.is_err(), "nobody else is let in");
    Ok(())
}
