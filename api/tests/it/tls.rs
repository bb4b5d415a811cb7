//! TLS of the API, with a real client: answers come over HTTP/1.1 and HTTP/2, and a renewed certificate is used without
//! interrupting anyone.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use api::{Api, Tls};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::app::{App, config};

const FIRST: (&str, &str) = (include_str!("tls/first.pem"), include_str!("tls/first.key"));
const SECOND: (&str, &str) = (include_str!("tls/second.pem"), include_str!("tls/second.key"));
const SOON: Duration = Duration::from_secs(10);

fn install(folder: &Path, pair: (&str, &str)) -> Result<()> {
    std::fs::write(folder.join("cert.pem"), pair.0)?;
    Ok(std::fs::write(folder.join("key.pem"), pair.1)?)
}

fn der(pem: &str) -> Result<CertificateDer<'static>> {
    Ok(CertificateDer::from_pem_slice(pem.as_bytes())?)
}

struct Served {
    _app: App,
    address: SocketAddr,
    folder: tempfile::TempDir,
    _stop: DropGuard,
}

async fn served() -> Result<Served> {
    let (app, listener) = (App::start().await?, TcpListener::bind("127.0.0.1:0").await?);
    let (address, cancel, folder) = (listener.local_addr()?, CancellationToken::new(), tempfile::tempdir()?);
    install(folder.path(), FIRST)?;
    let tls = Tls::load(folder.path().join("cert.pem"), folder.path().join("key.pem"))?;
    let config = api::Config { tls: Some(tls.reread_every(Duration::from_millis(5))), ..config() };
    tokio::spawn(Api::new(config, app.engine.clone(), cancel.clone())?.serve(listener));
    Ok(Served { _app: app, address, folder, _stop: cancel.drop_guard() })
}

impl Served {
    /// A client that trusts both certificates.
    async fn connect(&self, protocols: &[&[u8]]) -> Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(der(FIRST.0)?)?;
        roots.add(der(SECOND.0)?)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        let mut config = builder.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        let socket = TcpStream::connect(self.address).await?;
        let connected = TlsConnector::from(Arc::new(config)).connect(ServerName::try_from("localhost")?, socket);
        Ok(tokio::time::timeout(SOON, connected).await??)
    }

    async fn certificate(&self) -> Result<CertificateDer<'static>> {
        let stream = self.connect(&[b"http/1.1"]).await?;
        let chain = stream.get_ref().1.peer_certificates().context("it has one")?;
        Ok(chain.first().context("it has one")?.clone().into_owned())
    }

    /// It shows this certificate for as long as 20 handshakes take, and meanwhile it looks at the files.
    async fn keeps(&self, wanted: &str) -> Result<()> {
        for _ in 0..20 {
            ensure!(self.certificate().await? == der(wanted)?, "it shows another certificate");
        }
        Ok(())
    }

    async fn has(&self, wanted: &str) -> Result<()> {
        let (wanted, deadline) = (der(wanted)?, tokio::time::Instant::now() + SOON);
        while self.certificate().await? != wanted {
            ensure!(tokio::time::Instant::now() < deadline, "it keeps the other certificate");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }
}

/// One request over a connection that stays open.
async fn ask(stream: &mut TlsStream<TcpStream>) -> Result<String> {
    stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: example.org\r\n\r\n").await?;
    let mut bytes = vec![0; 8192];
    let read = tokio::time::timeout(SOON, stream.read(&mut bytes)).await??;
    Ok(String::from_utf8_lossy(&bytes[..read]).to_ascii_lowercase())
}

#[tokio::test]
async fn a_renewed_certificate_is_used_and_no_connection_is_dropped() -> Result<()> {
    let served = served().await?;
    let mut open = served.connect(&[b"http/1.1"]).await?;
    ensure!(ask(&mut open).await?.starts_with("http/1.1 200"));
    ensure!(served.certificate().await? == der(FIRST.0)?);

    // the certificate of one pair and the key of another, and then nonsense: nothing changes
    std::fs::write(served.folder.path().join("cert.pem"), SECOND.0)?;
    served.keeps(FIRST.0).await?;
    std::fs::write(served.folder.path().join("cert.pem"), "nonsense")?;
    served.keeps(FIRST.0).await?;

    install(served.folder.path(), SECOND)?;
    served.has(SECOND.0).await?;
    ensure!(ask(&mut open).await?.starts_with("http/1.1 200"), "the open connection was dropped");
    install(served.folder.path(), FIRST)?;
    served.has(FIRST.0).await
}

#[tokio::test]
async fn answers_over_tls_tell_browsers_to_stay_there_and_http2_is_chosen_by_the_client() -> Result<()> {
    let served = served().await?;
    let answer = ask(&mut served.connect(&[b"http/1.1"]).await?).await?;
    ensure!(answer.contains("strict-transport-security: max-age="), "{answer}");
    let stream = served.connect(&[b"h2", b"http/1.1"]).await?;
    ensure!(stream.get_ref().1.alpn_protocol() == Some(b"h2".as_slice()));
    let (mut client, connection) = h2::client::handshake(stream).await?;
    tokio::spawn(async move { drop(connection.await) });
    let request = poem::http::Request::get("https://localhost/healthz").body(())?;
    let answer = tokio::time::timeout(SOON, client.send_request(request, true)?.0).await??;
    ensure!(answer.status() == 200 && !answer.headers().contains_key("strict-transport-security"), "{answer:?}");
    Ok(())
}

#[tokio::test]
async fn plain_http_and_half_a_handshake_occupy_nothing() -> Result<()> {
    let served = served().await?;
    let mut plain = TcpStream::connect(served.address).await?;
    plain.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await?;
    let mut answer = Vec::new();
    tokio::time::timeout(SOON, plain.read_to_end(&mut answer)).await?.ok();
    ensure!(!answer.starts_with(b"HTTP"), "it answers without TLS");
    Ok(())
}

#[test]
fn what_is_wrong_with_a_certificate_is_said_with_its_file() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (cert, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    let why = || Tls::load(&cert, &key).err().map(|error| error.to_string()).unwrap_or_default();
    ensure!(why().contains("cert.pem"), "{}", why());
    install(folder.path(), (FIRST.0, "nonsense"))?;
    ensure!(why().contains("key.pem") && why().contains("private key"), "{}", why());
    install(folder.path(), (FIRST.0, SECOND.1))?;
    ensure!(why().contains("does not work with"), "{}", why());
    install(folder.path(), ("", FIRST.1))?;
    ensure!(why().contains("cert.pem"), "{}", why());
    install(folder.path(), FIRST)?;
    ensure!(why().is_empty(), "{}", why());
    Ok(())
}
