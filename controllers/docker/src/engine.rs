//! The connection to a Docker engine, and what its errors mean.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use bollard::{API_DEFAULT_VERSION, Docker as Api, errors::Error as ApiError};
use controllers::driver::{retryable, user_error};
use sha2::{Digest, Sha256};
use streams::wire::{Failure, Scope};

/// How long the engine may take to answer anything but a stop or a pull.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
const SOCKET: &str = "unix:///var/run/docker.sock";

/// Why an engine cannot be reached, ever, as it is configured.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Its address is none that this driver can use.
    #[error(
        "{0}: use unix://, tcp://, http:// or https://; for a host behind ssh forward its socket (ssh -L) and name that"
    )]
    Address(String),
    /// The context of the docker command cannot be read.
    #[error("the docker context {name:?} cannot be read: {why}")]
    Context {
        /// Its name.
        name: String,
        /// What is wrong with it.
        why: String,
    },
    /// The client cannot be made: certificates that cannot be read, for instance.
    #[error("{0}")]
    Client(#[source] ApiError),
}

/// Where an engine is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) host: String,
    /// A folder with `ca.pem`, `cert.pem` and `key.pem`.
    certificates: Option<PathBuf>,
}

impl Address {
    /// The one given, else `DOCKER_HOST`, else that of the docker command's current context, else the local socket.
    pub(crate) fn find(given: Option<&str>) -> Result<Self, Error> {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        if let Some(host) = given.map(str::to_owned).or_else(|| variable("DOCKER_HOST")) {
            let tls = variable("DOCKER_TLS_VERIFY").is_some() || host.starts_with("https://");
            let folder = variable("DOCKER_CERT_PATH").map_or_else(configuration, PathBuf::from);
            return Ok(Self { host, certificates: tls.then_some(folder) });
        }
        let named = variable("DOCKER_CONTEXT").or_else(|| current_context(&configuration()));
        match named.filter(|name| name != "default") {
            Some(name) => Self::of_context(&configuration(), &name),
            None => Ok(Self { host: SOCKET.into(), certificates: None }),
        }
    }

    fn of_context(configuration: &Path, name: &str) -> Result<Self, Error> {
        let folder = Sha256::digest(name).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let meta = configuration.join("contexts/meta").join(&folder).join("meta.json");
        let failed = |why: String| Error::Context { name: name.to_owned(), why };
        let text = std::fs::read(&meta).map_err(|e| failed(format!("{}: {e}", meta.display())))?;
        let meta: serde_json::Value = serde_json::from_slice(&text).map_err(|e| failed(e.to_string()))?;
        let host = meta["Endpoints"]["docker"]["Host"].as_str().ok_or_else(|| failed("it names no host".into()))?;
        let certificates = configuration.join("contexts/tls").join(&folder).join("docker");
        Ok(Self { host: host.to_owned(), certificates: certificates.is_dir().then_some(certificates) })
    }

    /// The engine runs on this machine.
    pub(crate) fn is_local(&self) -> bool {
        self.host.starts_with("unix://")
    }

    /// Where ports that are published on every address are found.
    pub(crate) fn published_at(&self) -> String {
        if self.is_local() {
            return "127.0.0.1".into();
        }
        let rest = self.host.split_once("://").map_or(self.host.as_str(), |(_, rest)| rest);
        let host = rest.split('/').next().unwrap_or(rest);
        host.rsplit_once(':').map_or(host, |(host, _)| host).to_owned()
    }

    /// A client; nothing is sent yet.
    pub(crate) fn client(&self) -> Result<Api, Error> {
        let (host, seconds) = (self.host.as_str(), PATIENCE.as_secs());
        let client = match (host.split_once("://").map(|(scheme, _)| scheme), &self.certificates) {
            (Some("unix"), _) => Api::connect_with_unix(host, seconds, API_DEFAULT_VERSION),
            (Some("tcp" | "http" | "https"), Some(folder)) => {
                let file = |name: &str| folder.join(name);
                let (key, cert, ca) = (file("key.pem"), file("cert.pem"), file("ca.pem"));
                Api::connect_with_ssl(host, &key, &cert, &ca, seconds, API_DEFAULT_VERSION)
            }
            (Some("tcp" | "http"), None) => Api::connect_with_http(host, seconds, API_DEFAULT_VERSION),
            _ => return Err(Error::Address(host.to_owned())),
        };
        client.map_err(Error::Client)
    }
}

fn configuration() -> PathBuf {
    let home = || PathBuf::from(std::env::var("HOME").unwrap_or_default()).join(".docker");
    std::env::var("DOCKER_CONFIG").ok().filter(|path| !path.is_empty()).map_or_else(home, PathBuf::from)
}

fn current_context(configuration: &Path) -> Option<String> {
    let text = std::fs::read(configuration.join("config.json")).ok()?;
    let config: serde_json::Value = serde_json::from_slice(&text).ok()?;
    config["currentContext"].as_str().map(str::to_owned)
}

/// The status with which the engine refused something.
pub(crate) fn status(error: &ApiError) -> Option<u16> {
    match error {
        ApiError::DockerResponseServerError { status_code, .. } => Some(*status_code),
        _ => None,
    }
}

/// What is not there is `None`.
pub(crate) fn found<T>(answer: Result<T, ApiError>) -> Result<Option<T>, ApiError> {
    match answer {
        Ok(value) => Ok(Some(value)),
        Err(error) if status(&error) == Some(404) => Ok(None),
        Err(error) => Err(error),
    }
}

/// What is there, or gone, or in that state already is as good as done.
pub(crate) fn done<T>(answer: Result<T, ApiError>) -> Result<(), ApiError> {
    match answer {
        Err(error) if !matches!(status(&error), Some(304 | 404 | 409)) => Err(error),
        _ => Ok(()),
    }
}

/// What an error of the engine means for a session.
pub(crate) fn failed(what: &str, error: &ApiError) -> Failure {
    let message = format!("{what}: {error}");
    match error {
        ApiError::DockerResponseServerError { message: said, .. } if program_is_missing(said) => {
            user_error("program_not_found", message)
        }
        ApiError::DockerResponseServerError { status_code: 400, .. } => user_error("bad_template", message),
        ApiError::DockerResponseServerError { status_code: 404 | 409, .. } => {
            retryable("engine_refused", message).of(Scope::Session)
        }
        ApiError::DockerResponseServerError { .. } | ApiError::DockerStreamError { .. } => {
            retryable("engine_failed", message)
        }
        _ => retryable("engine_unreachable", message).of(Scope::Platform),
    }
}

fn program_is_missing(message: &str) -> bool {
    message.contains("executable file not found")
        || (message.contains("exec: ") && (message.contains("no such file") || message.contains("permission denied")))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a failed assumption is a failed test

    use super::*;

    #[test]
    fn a_context_of_the_docker_command_is_followed() {
        let folder = tempfile::tempdir().unwrap();
        let name = Sha256::digest("far").iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let meta = folder.path().join("contexts/meta").join(&name);
        std::fs::create_dir_all(&meta).unwrap();
        std::fs::create_dir_all(folder.path().join("contexts/tls").join(&name).join("docker")).unwrap();
        let text = r#"{"Name":"far","Endpoints":{"docker":{"Host":"tcp://far.example:2376"}}}"#;
        std::fs::write(meta.join("meta.json"), text).unwrap();
        std::fs::write(folder.path().join("config.json"), r#"{"currentContext":"far"}"#).unwrap();
        assert_eq!(current_context(folder.path()).as_deref(), Some("far"));
        let address = Address::of_context(folder.path(), "far").unwrap();
        assert_eq!((address.host.as_str(), address.certificates.is_some()), ("tcp://far.example:2376", true));
        assert_eq!(address.published_at(), "far.example");
        assert!(Address::of_context(folder.path(), "near").is_err());
    }

    #[test]
    fn a_host_behind_ssh_is_refused_with_the_way_out() {
        let address = Address { host: "ssh://me@far".into(), certificates: None };
        assert!(address.client().is_err_and(|e| e.to_string().contains("forward its socket")));
    }
}
