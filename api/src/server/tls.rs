//! TLS: the server's certificate, which is read again when its files change.
//!
//! A new certificate is used by new connections; those that are open keep the one that they began with. Files that
//! do not fit together, as between the writes of two of them, change nothing.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use sha2::{Digest, Sha256};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

/// How often the files are read again: certificates are renewed hours before they expire.
const EVERY: Duration = Duration::from_secs(5);
/// Longest file that is read, in bytes: a chain of certificates has a few thousand.
const LONGEST: u64 = 1 << 20;

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be read.
    #[error("{}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's error.
        #[source]
        source: std::io::Error,
    },
    /// A file is not PEM, or lacks what it should hold.
    #[error("{} holds no {what} as PEM: {source}", path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// What it should hold.
        what: &'static str,
        /// The parser's error.
        #[source]
        source: rustls::pki_types::pem::Error,
    },
    /// The two do not fit together, or the key is of an unknown kind.
    #[error("the certificate in {} does not work with the key in {}: {source}", certificate.display(), key.display())]
    Pair {
        /// File of the certificate.
        certificate: PathBuf,
        /// File of the key.
        key: PathBuf,
        /// The error of the TLS library.
        #[source]
        source: rustls::Error,
    },
    /// The library refuses its own defaults.
    #[error("TLS: {0}")]
    Library(#[source] rustls::Error),
}

/// The certificate of the server, and where it comes from. Clones share it.
#[derive(Clone)]
pub struct Tls {
    certificate: PathBuf,
    key: PathBuf,
    every: Duration,
    current: Arc<Current>,
    config: Arc<ServerConfig>,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("certificate", &self.certificate).field("key", &self.key).finish_non_exhaustive()
    }
}

/// The present certificate.
#[derive(Debug)]
struct Current(RwLock<Arc<CertifiedKey>>);

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.read().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

/// Contents of both files, and their digest.
struct Files {
    certificate: Vec<u8>,
    key: Vec<u8>,
    digest: [u8; 32],
}

impl Tls {
    /// Reads a certificate with its chain, and its key, both as PEM.
    ///
    /// # Errors
    /// See [`enum@Error`].
    pub fn load(certificate: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Result<Self, Error> {
        let (certificate, key) = (certificate.into(), key.into());
        let pair = parse(&certificate, &key, &read(&certificate, &key)?)?;
        let current = Arc::new(Current(RwLock::new(Arc::new(pair))));
        let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let builder = builder.with_safe_default_protocol_versions().map_err(Error::Library)?;
        let mut config = builder.with_no_client_auth().with_cert_resolver(current.clone());
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self { certificate, key, every: EVERY, current, config: Arc::new(config) })
    }

    /// Changes how often the files are read again.
    #[must_use]
    pub fn reread_every(mut self, every: Duration) -> Self {
        self.every = every;
        self
    }

    pub(super) fn acceptor(&self) -> TlsAcceptor {
        self.config.clone().into()
    }

    /// Follows the files until cancelled.
    pub(crate) async fn follow(self, cancel: CancellationToken) {
        let mut seen = None;
        while cancel.run_until_cancelled(tokio::time::sleep(self.every)).await.is_some() {
            let files = match read(&self.certificate, &self.key) {
                Ok(files) if seen == Some(files.digest) => continue,
                Ok(files) => files,
                Err(error) if seen.is_some() => {
                    seen = None; // said once, and again after they were there
                    tracing::warn!(%error, "the certificate cannot be read again; the present one stays");
                    continue;
                }
                Err(_) => continue,
            };
            let first = seen.replace(files.digest).is_none();
            match parse(&self.certificate, &self.key, &files) {
                Ok(pair) => self.current.replace(pair, first),
                Err(error) => tracing::warn!(%error, "the new certificate cannot be used; the present one stays"),
            }
        }
    }
}

impl Current {
    fn replace(&self, pair: CertifiedKey, quiet: bool) {
        let mut current = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let changed = current.cert != pair.cert;
        *current = Arc::new(pair);
        if changed || !quiet {
            tracing::info!("the API has a new certificate");
        }
    }
}

fn read(certificate: &Path, key: &Path) -> Result<Files, Error> {
    use std::io::Read as _;
    let read = |path: &Path| {
        let failed = |source| Error::Read { path: path.to_owned(), source };
        let mut bytes = Vec::new();
        std::fs::File::open(path).map_err(failed)?.take(LONGEST).read_to_end(&mut bytes).map_err(failed)?;
        Ok(bytes)
    };
    let (certificate, key) = (read(certificate)?, read(key)?);
    let digest = Sha256::new().chain_update(&certificate).chain_update([0]).chain_update(&key).finalize().into();
    Ok(Files { certificate, key, digest })
}

fn parse(certificate: &Path, key: &Path, files: &Files) -> Result<CertifiedKey, Error> {
    let pem = |path: &Path, what| {
        let path = path.to_owned();
        move |source| Error::Pem { path, what, source }
    };
    let chain = CertificateDer::pem_slice_iter(&files.certificate).collect::<Result<Vec<_>, _>>();
    let chain = chain.map_err(pem(certificate, "certificate"))?;
    let private = PrivateKeyDer::from_pem_slice(&files.key).map_err(pem(key, "private key"))?;
    CertifiedKey::from_der(chain, private, &ring::default_provider()).map_err(|source| Error::Pair {
        certificate: certificate.to_owned(),
        key: key.to_owned(),
        source,
    })
}
