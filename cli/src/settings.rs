//! Settings in layers: defaults, then a YAML file, then the environment, then flags.
//!
//! Every process reads its settings through one [`Settings`], which collects mistakes with their origin, so
//! that all of them are reported at once before anything starts.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde_json::Value;
use streams::connect::{self, Secret};

use crate::failure::{Failure, Kind};

/// Settings whose environment variables the wire contract defines, without a prefix.
const OF_THE_CONTRACT: [&str; 13] = [
    "controller_id",
    "controller_platform",
    "database_url",
    "heartbeat_interval",
    "nats_ca_file",
    "nats_cert_file",
    "nats_creds",
    "nats_key_file",
    "nats_nkey_file",
    "nats_password",
    "nats_tls_enabled",
    "nats_url",
    "nats_user",
];
const OURS: [&str; 36] = [
    "address_rate_burst",
    "address_rate_limit",
    "admin_token",
    "admin_token_file",
    "archive_dir",
    "commands_max_bytes",
    "commands_max_messages",
    "connections_max",
    "connections_per_address_max",
    "controllers_admission",
    "cors_origins",
    "data_dir",
    "dead_letters_max_bytes",
    "dead_letters_max_messages",
    "dead_letter_retention",
    "default_platform",
    "driver",
    "event_retention",
    "feed_watchers_max",
    "http_addr",
    "installation",
    "job_retention",
    "labels",
    "migrate",
    "nats_server",
    "outbox_limit",
    "prune_unarchived",
    "rate_burst",
    "rate_limit",
    "reports_max_bytes",
    "reports_max_messages",
    "sessions_max",
    "state_dir",
    "tls_cert_file",
    "tls_key_file",
    "trusted_proxies",
];

/// A setting from the command line: its key, and its value if the flag was given.
pub(crate) type Flag = (&'static str, Option<String>);

/// All settings, their origin, and the mistakes found.
#[derive(Debug, Default)]
pub(crate) struct Settings {
    /// Value and origin of each setting, from the highest layer that sets it.
    values: BTreeMap<String, (String, String)>,
    mistakes: Vec<String>,
}

/// All settings.
fn keys() -> impl Iterator<Item = &'static str> {
    OF_THE_CONTRACT.iter().chain(&OURS).copied().chain(crate::platforms::settings())
}

/// The environment variable of a setting.
fn environment_name(key: &str) -> String {
    let name = key.to_uppercase();
    if OF_THE_CONTRACT.contains(&key) { name } else { format!("STREAMSPACE_{name}") }
}

/// The flag of a setting.
fn flag_name(key: &str) -> String {
    let name = if key == "controller_platform" { "platform".into() } else { key.replace('_', "-") };
    format!("--{name}")
}

impl Settings {
    /// Reads all layers. An unreadable file is a mistake like any other.
    pub(crate) fn load(file: Option<&Path>, flags: impl IntoIterator<Item = Flag>) -> Self {
        Self::layered(file, |name| std::env::var(name).ok(), flags)
    }

    fn layered(
        file: Option<&Path>,
        environment: impl Fn(&str) -> Option<String>,
        flags: impl IntoIterator<Item = Flag>,
    ) -> Self {
        let mut this = Self::default();
        let named = environment("STREAMSPACE_CONFIG").filter(|path| !path.is_empty()).map(PathBuf::from);
        if let Some(path) = file.map(Path::to_path_buf).or(named) {
            this.read_file(&path);
        }
        for key in keys() {
            let name = environment_name(key);
            if let Some(value) = environment(&name).filter(|value| !value.is_empty()) {
                this.values.insert(key.to_owned(), (value, name));
            }
        }
        for (key, value) in flags {
            if let Some(value) = value {
                this.values.insert(key.to_owned(), (value, flag_name(key)));
            }
        }
        this
    }

    fn read_file(&mut self, path: &Path) {
        let at = path.display();
        let text = crate::files::text(path).map_err(|e| e.to_string());
        let parsed =
            text.and_then(|text| serde_saphyr::from_str::<BTreeMap<String, Value>>(&text).map_err(|e| e.to_string()));
        let entries = match parsed {
            Ok(entries) => entries,
            Err(error) => return self.mistakes.push(format!("{at}: {error}")),
        };
        for (key, value) in entries {
            let text = match value {
                _ if !keys().any(|known| known == key) => {
                    self.mistakes.push(format!("{at}: there is no setting {key:?}"));
                    continue;
                }
                Value::String(text) => text,
                Value::Bool(_) | Value::Number(_) => value.to_string(),
                _ => {
                    self.mistakes.push(format!("{at}: {key} has to be one value"));
                    continue;
                }
            };
            let place = format!("{key} in {at}");
            self.values.insert(key, (text, place));
        }
    }

    /// The raw value.
    pub(crate) fn text(&self, key: &str) -> Option<String> {
        self.values.get(key).map(|(value, _)| value.clone())
    }

    /// A parsed value; records a mistake if it is invalid.
    pub(crate) fn optional<T: FromStr<Err: Display>>(&mut self, key: &str) -> Option<T> {
        self.read(key, |text| text.parse().map_err(|e: T::Err| format!("{text:?}: {e}")))
    }

    /// A required value.
    pub(crate) fn required<T: FromStr<Err: Display>>(&mut self, key: &str, example: &str) -> Option<T> {
        if !self.values.contains_key(key) {
            self.absent(key, example);
        }
        self.optional(key)
    }

    fn absent(&mut self, key: &str, example: &str) {
        let (name, flag) = (environment_name(key), flag_name(key));
        self.mistake(format!("{name} (or {flag}) is missing, for example {example}"));
    }

    /// A boolean.
    pub(crate) fn switch(&mut self, key: &str, default: bool) -> bool {
        let read = |text: &str| match text.to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" | "on" => Ok(true),
            "false" | "0" | "no" | "off" => Ok(false),
            _ => Err(format!("{text:?} is neither true nor false")),
        };
        self.read(key, read).unwrap_or(default)
    }

    /// A value with its own parser.
    pub(crate) fn read<T>(&mut self, key: &str, read: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        let (value, place) = self.values.get(key)?;
        match read(value) {
            Ok(value) => Some(value),
            Err(error) => {
                self.mistakes.push(format!("{place}: {error}"));
                None
            }
        }
    }

    /// Records a mistake.
    pub(crate) fn mistake(&mut self, mistake: impl Into<String>) {
        self.mistakes.push(mistake.into());
    }

    /// The NATS connection; `NATS_URL` is required.
    pub(crate) fn nats(&mut self, name: &str) -> Option<connect::Config> {
        let url: Option<String> = self.required("nats_url", "nats://localhost:4222");
        let tls = self.switch("nats_tls_enabled", false);
        let (user, password) = (self.text("nats_user"), self.text("nats_password").map(Secret::new));
        if user.is_some() != password.is_some() {
            self.mistake("NATS_USER and NATS_PASSWORD only work together");
        }
        let nkey_file = self.text("nats_nkey_file").map(PathBuf::from);
        if let Some(Err(error)) = nkey_file.as_deref().map(streams::nkey::public_key) {
            self.mistake(format!("NATS_NKEY_FILE: {error}"));
        }
        let creds_file = self.readable("nats_creds");
        if [user.is_some(), nkey_file.is_some(), creds_file.is_some()].into_iter().filter(|given| *given).count() > 1 {
            self.mistake("NATS_NKEY_FILE, NATS_CREDS and NATS_USER exclude each other; set one");
        }
        let ca_file = self.readable("nats_ca_file");
        let pair = (self.readable("nats_cert_file"), self.readable("nats_key_file"));
        let client_certificate = match pair {
            (Some(certificate), Some(key)) => Some((certificate, key)),
            (None, None) => None,
            _ => {
                self.mistake("NATS_CERT_FILE and NATS_KEY_FILE only work together");
                None
            }
        };
        let tls = tls || ca_file.is_some() || client_certificate.is_some();
        let config = connect::Config::new(url?, name);
        Some(connect::Config { user, password, nkey_file, creds_file, tls, ca_file, client_certificate, ..config })
    }

    /// The path of a file that can be read; records a mistake otherwise.
    fn readable(&mut self, key: &str) -> Option<PathBuf> {
        self.read(key, |path| {
            std::fs::File::open(path).map_err(|e| format!("{path}: {e}"))?;
            Ok(PathBuf::from(path))
        })
    }

    /// Returns what was read, or all mistakes.
    pub(crate) fn finish<T>(mut self, read: Option<T>) -> Result<T, Failure> {
        match read {
            Some(read) if self.mistakes.is_empty() => Ok(read),
            _ => {
                self.mistakes.dedup();
                Err(Failure::new(Kind::Usage, self.mistakes.join("; "))
                    .hint("see `streamspace help` for the settings named here"))
            }
        }
    }
}

impl controllers::registration::Settings for Settings {
    fn text(&self, key: &str) -> Option<String> {
        Self::text(self, key)
    }

    fn wrong(&mut self, key: &str, rule: String) {
        let place = self.values.get(key).map_or_else(|| environment_name(key), |(_, place)| place.clone());
        self.mistake(format!("{place}: {rule}"));
    }

    fn missing(&mut self, key: &str, example: &str) {
        self.absent(key, example);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flag_wins_over_the_environment_and_that_over_the_file() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "nats_url: nats://file\nhttp_addr: 127.0.0.1:1\ncontroller_id: file\n").unwrap();
        let environment = |name: &str| match name {
            "NATS_URL" => Some("nats://environment".to_owned()),
            "CONTROLLER_ID" => Some("environment".to_owned()),
            _ => None,
        };
        let settings = Settings::layered(Some(file.path()), environment, [("controller_id", Some("flag".into()))]);
        assert_eq!(settings.text("http_addr").as_deref(), Some("127.0.0.1:1"));
        assert_eq!(settings.text("nats_url").as_deref(), Some("nats://environment"));
        assert_eq!(settings.text("controller_id").as_deref(), Some("flag"));
    }

    #[test]
    fn every_mistake_is_named_with_its_place() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "htp_addr: x\nheartbeat_interval: soon\nnats_user: me\n").unwrap();
        let mut settings = Settings::layered(Some(file.path()), |_| None, []);
        crate::controller::heartbeat_interval(&mut settings);
        let nats = settings.nats("test");
        let message = settings.finish(nats).unwrap_err().message;
        for part in ["htp_addr", "heartbeat_interval in ", "NATS_URL", "NATS_USER and NATS_PASSWORD"] {
            assert!(message.contains(part), "{part} is not in {message}");
        }
    }
}
