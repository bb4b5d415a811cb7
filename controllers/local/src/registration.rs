//! The platform as the program that runs controllers sees it.

use std::sync::Arc;

use controllers::{
    Driver, Registration,
    registration::{NotOpened, Open, Setting, Settings},
};

use super::{Config, Error, Local, OwnUsers, helper::helper};

/// The platform `local`.
pub const PLATFORM: Registration = Registration {
    name: "local",
    settings: &[
        Setting {
            key: "session_users",
            about: "`own`: each user has a uid of its own where the controller is root; `shared`: none has",
        },
        Setting {
            key: "session_processes_max",
            about: "processes that a user, or a session without a user of its own, may have",
        },
        Setting { key: "session_log_bytes", about: "bytes of each of the two files of a session's log" },
    ],
    schema,
    configure,
    helper: Some(helper),
};

/// The schema of `spec.local`.
fn schema() -> serde_json::Value {
    schemars::schema_for!(streams::wire::Local).to_value()
}

fn configure(settings: &mut dyn Settings) -> Option<Open> {
    let sessions_max = settings.optional("sessions_max");
    let own_users = settings.read("session_users", own_users);
    let processes_max = settings.optional("session_processes_max");
    let log_bytes = settings.optional("session_log_bytes");
    let state_dir: String = settings.required("state_dir", "./data/local")?;
    let config = Config::new(state_dir);
    let config = Config {
        sessions_max: sessions_max.unwrap_or(config.sessions_max),
        own_users: own_users.unwrap_or(config.own_users),
        processes_max: processes_max.unwrap_or(config.processes_max),
        log_bytes: log_bytes.unwrap_or(config.log_bytes),
        ..config
    };
    Some(Box::new(move || Box::pin(async move { open(config) })))
}

fn open(config: Config) -> Result<Arc<dyn Driver>, NotOpened> {
    let opened = Local::open(config).map_err(|error| NotOpened {
        in_use: matches!(error, Error::InUse(_)),
        ..NotOpened::because(error).hint("--state-dir with a folder of its own")
    });
    Ok(Arc::new(opened?))
}

fn own_users(text: &str) -> Result<OwnUsers, String> {
    match text {
        "own" => Ok(OwnUsers::WherePossible),
        "shared" => Ok(OwnUsers::Never),
        other => Err(format!("{other:?} is neither own nor shared")),
    }
}
