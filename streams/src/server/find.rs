//! Finds a nats-server binary, and checks its version.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use super::Error;
use crate::version::{MINIMUM, Version};

/// Environment variable with the path of the binary.
pub const ENVIRONMENT: &str = "STREAMSPACE_NATS_SERVER";
const PROGRAM: &str = "nats-server";
const PATIENCE: Duration = Duration::from_secs(10);

/// A suitable nats-server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Path of the binary.
    pub path: PathBuf,
    /// Its version.
    pub version: Version,
}

/// Finds a nats-server that is new enough: the given one, else that of [`ENVIRONMENT`], else
/// `.tools/nats-server` in a folder above the working folder or the executable, else the one on `PATH`. One
/// that was named explicitly and is unsuitable is an error.
///
/// # Errors
/// [`Error::NotFound`] with everything that was examined.
pub async fn find(explicit: Option<&Path>) -> Result<Found, Error> {
    let named = explicit.map(Path::to_owned).or_else(|| std::env::var_os(ENVIRONMENT).map(PathBuf::from));
    let candidates = named.map_or_else(candidates, |path| vec![path]);
    let mut seen = Vec::new();
    for path in candidates {
        match ask(&path).await {
            Ok(version) if version >= MINIMUM => return Ok(Found { path, version }),
            Ok(version) => seen.push(format!("{} is version {version}", path.display())),
            Err(why) => seen.push(format!("{}: {why}", path.display())),
        }
    }
    let seen = if seen.is_empty() { "none found".to_owned() } else { seen.join("; ") };
    Err(Error::NotFound { seen })
}

fn candidates() -> Vec<PathBuf> {
    let mut found = Vec::new();
    for start in [std::env::current_dir().ok(), std::env::current_exe().ok()].into_iter().flatten() {
        found.extend(start.ancestors().map(|folder| folder.join(".tools").join(PROGRAM)));
    }
    if let Some(path) = std::env::var_os("PATH") {
        found.extend(std::env::split_paths(&path).map(|folder| folder.join(PROGRAM)));
    }
    found.retain(|path| path.is_file());
    let mut unique = std::collections::HashSet::new();
    found.retain(|path| unique.insert(path.clone()));
    found
}

async fn ask(path: &Path) -> Result<Version, String> {
    let mut command = Command::new(path);
    command.arg("--version").stdin(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(PATIENCE, command.output()).await;
    let output =
        output.map_err(|_| "did not say its version in time".to_owned())?.map_err(|error| error.to_string())?;
    let said = String::from_utf8_lossy(&output.stdout);
    Version::parse(said.trim()).ok_or_else(|| format!("said {:?} when asked for its version", said.trim()))
}
