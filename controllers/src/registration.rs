//! How a platform's crate presents itself to the program that runs controllers: its name, its settings, the schema of its
//! block in templates, and how it is opened.
//!
//! The program has one list of [`Registration`]s, one line each, and knows nothing else of a platform.

use std::{error::Error, fmt::Display, process::ExitCode, str::FromStr, sync::Arc};

use futures::future::BoxFuture;

use crate::Driver;

/// One platform, as its crate registers it.
#[derive(Debug, Clone, Copy)]
pub struct Registration {
    /// The platform's name in subjects, in templates and in settings.
    pub name: &'static str,
    /// Settings that only this platform has.
    pub settings: &'static [Setting],
    /// The JSON Schema of the platform's block in templates, `spec.<name>`. At most 64 KB, with references only into
    /// itself (`#/$defs/...`) that do not recur; the engine validates templates and sessions with it.
    pub schema: fn() -> serde_json::Value,
    /// Reads the settings and notes every mistake in them; returns how to open the driver if there is none.
    pub configure: fn(&mut dyn Settings) -> Option<Open>,
    /// Work that the driver does in separate processes of the same binary: called first of all with the arguments of the
    /// process, and returns an exit code if they ask for it.
    pub helper: Option<Helper>,
}

/// Work of a driver in a process of its own.
pub type Helper = fn(&[String]) -> Option<ExitCode>;

/// A setting that a platform adds to those of every controller.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// Its key in a file; `STREAMSPACE_` and the key in capitals in the environment.
    pub key: &'static str,
    /// What it does, for people.
    pub about: &'static str,
}

/// Opens a driver whose settings were read.
pub type Open = Box<dyn FnOnce() -> BoxFuture<'static, Result<Arc<dyn Driver>, NotOpened>> + Send>;

/// Why a driver could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("{source}")]
pub struct NotOpened {
    /// Another controller has what it needs.
    pub in_use: bool,
    /// What the operator can do about it.
    pub hint: Option<String>,
    /// The cause.
    pub source: Box<dyn Error + Send + Sync>,
}

impl NotOpened {
    /// A driver that could not be opened, for a reason that another setting mends.
    pub fn because(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { in_use: false, hint: None, source: source.into() }
    }

    /// The same with what the operator can do about it.
    #[must_use]
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }
}

/// Settings in layers, as the program reads them. Keys are in lower case.
pub trait Settings {
    /// A value as it stands.
    fn text(&self, key: &str) -> Option<String>;

    /// Notes that the value of a key is wrong, with the rule that it breaks.
    fn wrong(&mut self, key: &str, rule: String);

    /// Notes that a value is missing, with an example of one.
    fn missing(&mut self, key: &str, example: &str);
}

impl dyn Settings + '_ {
    /// A value that is read in its own way; a mistake is noted.
    pub fn read<T>(&mut self, key: &str, read: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        match read(&self.text(key)?) {
            Ok(value) => Some(value),
            Err(rule) => {
                self.wrong(key, rule);
                None
            }
        }
    }

    /// A value of a type; a mistake is noted.
    pub fn optional<T: FromStr<Err: Display>>(&mut self, key: &str) -> Option<T> {
        self.read(key, |text| text.parse().map_err(|e: T::Err| format!("{text:?}: {e}")))
    }

    /// A value that has to be there.
    pub fn required<T: FromStr<Err: Display>>(&mut self, key: &str, example: &str) -> Option<T> {
        if self.text(key).is_none() {
            self.missing(key, example);
        }
        self.optional(key)
    }

    /// Yes or no.
    pub fn switch(&mut self, key: &str, default: bool) -> bool {
        let read = |text: &str| match text.to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" | "on" => Ok(true),
            "false" | "0" | "no" | "off" => Ok(false),
            _ => Err(format!("{text:?} is neither true nor false")),
        };
        self.read(key, read).unwrap_or(default)
    }
}
