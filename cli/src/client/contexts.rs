//! The file of known servers, `$XDG_CONFIG_HOME/streamspace/config.yaml`. It contains tokens, so only its owner
//! can read it, and tokens are never printed.

use std::collections::BTreeMap;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::{fs, io};

use etcetera::BaseStrategy;
use serde::{Deserialize, Serialize};

use crate::failure::{Failure, Kind};
use crate::{files, output};

/// Name of the built-in context for the local `streamspace dev`; never stored in the file.
pub(super) const DEV: &str = "dev";

/// The content of the file.
#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Contexts {
    /// Name of the context in use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) current: Option<String>,
    #[serde(default)]
    pub(super) contexts: BTreeMap<String, Context>,
}

/// One known server.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Context {
    pub(super) url: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    token: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    token_file: Option<PathBuf>,
}

impl Context {
    /// A server whose token is stored in this file.
    pub(super) const fn with_token(url: String, token: String) -> Self {
        Self { url, token: Some(token), token_file: None }
    }

    /// A server whose token is read from a file each time, or given each time.
    pub(super) const fn with_file(url: String, token_file: Option<PathBuf>) -> Self {
        Self { url, token: None, token_file }
    }

    /// Its token, if it has one.
    pub(super) fn token(&self) -> Result<Option<String>, Failure> {
        match &self.token_file {
            Some(file) => token_in(file).map(Some),
            None => Ok(self.token.clone()),
        }
    }

    /// Description of where its token is kept.
    pub(super) fn token_place(&self) -> String {
        match (&self.token_file, &self.token) {
            (Some(file), _) => file.display().to_string(),
            (None, Some(_)) => "kept".into(),
            (None, None) => "none".into(),
        }
    }
}

/// Reads a token file.
pub(super) fn token_in(file: &Path) -> Result<String, Failure> {
    let hint = "the file must contain the token and nothing else";
    let text = fs::read_to_string(file)
        .map_err(|e| Failure::because(Kind::Usage, &file.display().to_string(), &e).hint(hint))?;
    match text.trim() {
        "" => Err(Failure::usage(format!("{} contains no token", file.display())).hint(hint)),
        token => Ok(token.to_owned()),
    }
}

impl Contexts {
    /// Path of the file.
    pub(super) fn path() -> Result<PathBuf, Failure> {
        let base = etcetera::choose_base_strategy().map_err(|e| {
            Failure::because(Kind::Usage, "no folder for settings", &e).hint("set HOME or XDG_CONFIG_HOME to a folder")
        })?;
        Ok(base.config_dir().join("streamspace/config.yaml"))
    }

    /// Reads the file; a missing one has no contexts.
    pub(super) fn load(path: &Path) -> Result<Self, Failure> {
        let failed = |e: &dyn std::error::Error| {
            let message = path.display().to_string();
            Failure::because(Kind::Usage, &message, e)
                .hint("correct that file, or remove it and run `streamspace context add`")
        };
        let text = match files::text(path) {
            Ok(text) => text,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(e) => return Err(failed(&e)),
        };
        if fs::metadata(path).is_ok_and(|about| about.permissions().mode() & 0o077 != 0) {
            output::note(format!("warning: other users can read {}; run chmod 600 on it", path.display()));
        }
        // The parser's message could quote a token, so only the position is reported.
        serde_saphyr::from_str(&text).map_err(|e| {
            let at = e.location().map_or_else(String::new, |at| format!(" at line {}", at.line()));
            failed(&io::Error::other(format!("is not a list of contexts{at}")))
        })
    }

    /// Replaces the file atomically.
    pub(super) fn save(&self, path: &Path) -> Result<(), Failure> {
        let folder = path.parent().unwrap_or(Path::new("."));
        let text = serde_saphyr::to_string(self)?;
        let written = fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
        written
            .and_then(|()| files::replace(path, text.as_bytes()))
            .map_err(|e| Failure::because(Kind::Failed, &path.display().to_string(), &e))
    }

    /// OutputOptions up a context.
    pub(super) fn get(&self, name: &str) -> Result<&Context, Failure> {
        self.contexts.get(name).ok_or_else(|| {
            Failure::new(Kind::NotFound, format!("there is no context {name:?}")).hint(format!(
                "use one of {}, or `streamspace context add {name} --url URL --token-file FILE`",
                self.names()
            ))
        })
    }

    fn names(&self) -> String {
        let mut names: Vec<&str> = self.contexts.keys().map(String::as_str).collect();
        names.push(DEV);
        names.join(", ")
    }
}
