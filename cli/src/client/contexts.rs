//! The servers that somebody works with, in `$XDG_CONFIG_HOME/streamspace/config.yaml`. Tokens are in it, so only its owner
//! can read it, and nothing here prints them.

use std::collections::BTreeMap;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::{fs, io};

use etcetera::BaseStrategy;
use serde::{Deserialize, Serialize};

use crate::failure::{Failure, Kind};
use crate::{files, output};

/// The name of the `streamspace dev` here; it is always there and never in the file.
pub(super) const DEV: &str = "dev";

/// The file.
#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Contexts {
    /// The one in use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) current: Option<String>,
    #[serde(default)]
    pub(super) contexts: BTreeMap<String, Context>,
}

/// One server.
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
    /// A server whose token is kept here.
    pub(super) const fn with_token(url: String, token: String) -> Self {
        Self { url, token: Some(token), token_file: None }
    }

    /// A server whose token is read from a file each time, or said each time.
    pub(super) const fn with_file(url: String, token_file: Option<PathBuf>) -> Self {
        Self { url, token: None, token_file }
    }

    /// Its token, where it has one.
    pub(super) fn token(&self) -> Result<Option<String>, Failure> {
        match &self.token_file {
            Some(file) => token_in(file).map(Some),
            None => Ok(self.token.clone()),
        }
    }

    /// Where its token is, for people.
    pub(super) fn token_place(&self) -> String {
        match (&self.token_file, &self.token) {
            (Some(file), _) => file.display().to_string(),
            (None, Some(_)) => "kept".into(),
            (None, None) => "none".into(),
        }
    }
}

/// The token in a file.
pub(super) fn token_in(file: &Path) -> Result<String, Failure> {
    let hint = "a file that holds the token and nothing else";
    let text = fs::read_to_string(file)
        .map_err(|e| Failure::because(Kind::Usage, &file.display().to_string(), &e).hint(hint))?;
    match text.trim() {
        "" => Err(Failure::usage(format!("{} holds no token", file.display())).hint(hint)),
        token => Ok(token.to_owned()),
    }
}

impl Contexts {
    /// Where they are.
    pub(super) fn path() -> Result<PathBuf, Failure> {
        let base = etcetera::choose_base_strategy().map_err(|e| {
            Failure::because(Kind::Usage, "no folder for settings", &e).hint("HOME or XDG_CONFIG_HOME with a folder")
        })?;
        Ok(base.config_dir().join("streamspace/config.yaml"))
    }

    /// Those of the file; none where there is none.
    pub(super) fn load(path: &Path) -> Result<Self, Failure> {
        let failed = |e: &dyn std::error::Error| {
            let message = path.display().to_string();
            Failure::because(Kind::Usage, &message, e)
                .hint("mend that file, or remove it and `streamspace context add`")
        };
        let text = match files::text(path) {
            Ok(text) => text,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(e) => return Err(failed(&e)),
        };
        if fs::metadata(path).is_ok_and(|about| about.permissions().mode() & 0o077 != 0) {
            output::note(format!("warning: others can read {}; chmod 600 it", path.display()));
        }
        // The reader's own words could quote a token: only the place of the mistake is said.
        serde_saphyr::from_str(&text).map_err(|e| {
            let at = e.location().map_or_else(String::new, |at| format!(" at line {}", at.line()));
            failed(&io::Error::other(format!("is no list of contexts{at}")))
        })
    }

    /// Replaces the file.
    pub(super) fn save(&self, path: &Path) -> Result<(), Failure> {
        let folder = path.parent().unwrap_or(Path::new("."));
        let text = serde_saphyr::to_string(self)?;
        let written = fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
        written
            .and_then(|()| files::replace(path, text.as_bytes()))
            .map_err(|e| Failure::because(Kind::Failed, &path.display().to_string(), &e))
    }

    /// One by its name.
    pub(super) fn get(&self, name: &str) -> Result<&Context, Failure> {
        self.contexts.get(name).ok_or_else(|| {
            Failure::new(Kind::NotFound, format!("there is no context {name:?}")).hint(format!(
                "one of {}; or `streamspace context add {name} --url URL --token-file FILE`",
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
