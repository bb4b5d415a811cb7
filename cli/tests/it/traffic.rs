//! A real process under hostile clients: memory and file descriptors stay bounded.

use std::fs::File;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use serde_json::Value;
use tempfile::{TempDir, tempdir};

use crate::program::{Running, clean, until};

/// A `dev` with a limited number of file descriptors, and the address of its API.
struct Served {
    process: Running,
    address: String,
    folder: TempDir,
}

fn served(descriptors: u32) -> Result<Served> {
    let folder = tempdir()?;
    let binary = env!("CARGO_BIN_EXE_streamspace");
    let mut command = Command::new("sh");
    command.args(["-c", &format!("ulimit -n {descriptors}; exec {binary} dev --http-addr 127.0.0.1:0")]);
    let mut command = clean(command, folder.path());
    let (out, err) = (folder.path().join("out"), folder.path().join("err"));
    command.stdout(File::create(&out)?).stderr(File::create(&err)?).stdin(Stdio::null());
    let mut process = Running(command.spawn()?);
    until("dev runs", || {
        ensure!(process.0.try_wait()?.is_none(), "dev ended: {}", std::fs::read_to_string(&err)?);
        Ok(std::fs::read_to_string(&out)?.contains("is running"))
    })?;
    let endpoints: Value = serde_json::from_slice(&std::fs::read(folder.path().join("data/endpoints.json"))?)?;
    let url = endpoints["http"].as_str().context("an address")?;
    Ok(Served { process, address: url.trim_start_matches("http://").to_owned(), folder })
}

impl Served {
    fn memory_mb(&self) -> Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.0.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("VmRSS")?;
        Ok(line.trim().trim_end_matches(" kB").trim().parse::<u64>()? / 1024)
    }

    fn is_well(&self) -> Result<()> {
        let mut socket = TcpStream::connect(&self.address)?;
        socket.set_read_timeout(Some(Duration::from_secs(5)))?;
        socket.write_all(b"GET /readyz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")?;
        let mut answer = String::new();
        socket.read_to_string(&mut answer)?;
        ensure!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        Ok(())
    }
}

#[test]
fn four_hundred_half_open_connections_do_not_stop_an_api_with_256_descriptors() -> Result<()> {
    let mut served = served(256)?;
    let mut held = Vec::new();
    for _ in 0..400 {
        let mut socket = TcpStream::connect(&served.address)?;
        socket.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\nx-half: ")?;
        held.push(socket);
    }
    for _ in 0..5 {
        served.is_well()?;
    }
    let asked = crate::program::run(served.folder.path(), &["session", "create", "scratchpad"])?;
    asked.done()?; // and the database and NATS have what they need
    served.process.stop()?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_three_connections_never_read_cost_no_memory() -> Result<()> {
    let mut served = served(1_024)?;
    let before = served.memory_mb()?;
    let mut held = Vec::new();
    for _ in 0..3 {
        let socket = tokio::net::TcpStream::connect(&served.address).await?;
        let (mut client, connection) =
            h2::client::Builder::new().initial_window_size(0).handshake::<_, Bytes>(socket).await?;
        held.push(tokio::spawn(async move { drop(connection.await) }));
        for path in ["/docs", "/openapi.json"].into_iter().cycle().take(60) {
            client = client.ready().await?;
            let request = poem::http::Request::builder().uri(format!("http://{}{path}", served.address)).body(())?;
            let (answer, _) = client.send_request(request, true)?;
            let answer = tokio::time::timeout(Duration::from_secs(20), answer).await??;
            ensure!(answer.status() == 200, "{answer:?}");
            held.push(tokio::spawn(async move {
                let _body = answer.into_body();
                std::future::pending::<()>().await;
            }));
        }
        held.push(tokio::spawn(async move {
            let _client = client;
            std::future::pending::<()>().await;
        }));
    }
    let after = served.memory_mb()?;
    ensure!(after < before + 60, "{before} MB became {after} MB");
    served.is_well()?;
    held.iter().for_each(tokio::task::JoinHandle::abort);
    served.process.stop()?;
    Ok(())
}
