//! The platform as the program that runs controllers sees it.

use std::sync::Arc;

use controllers::{
    Driver, Registration,
    registration::{NotOpened, Open, Setting, Settings},
};

use super::{Config, Docker};

/// The platform `docker`.
pub const PLATFORM: Registration = Registration {
    name: "docker",
    settings: &[
        Setting {
            key: "docker_host",
            about: "the engine, such as unix:///var/run/docker.sock; else DOCKER_HOST, the context, the local socket",
        },
        Setting {
            key: "docker_publish",
            about: "the address on which ports of sessions are published, 127.0.0.1 unless given",
        },
        Setting { key: "docker_url", about: "the url of a session, with {host}, {port} and {session} in it" },
        Setting { key: "docker_network", about: "the engine's network that sessions are in" },
        Setting { key: "docker_pull", about: "when images are fetched: always, missing or never" },
        Setting {
            key: "docker_allow",
            about: "what templates may ask of the host, such as device:/dev/dri,capability:NET_ADMIN; nothing unless given",
        },
        Setting { key: "docker_pids_max", about: "processes and threads that a session may have" },
    ],
    schema: super::schema,
    configure,
    helper: None,
};

fn configure(settings: &mut dyn Settings) -> Option<Open> {
    let default = Config::default();
    let config = Config {
        host: settings.text("docker_host"),
        installation: settings.text("installation").unwrap_or(default.installation),
        controller_id: settings.text("controller_id").unwrap_or_default(),
        sessions_max: settings.optional("sessions_max").unwrap_or(default.sessions_max),
        publish: settings.optional("docker_publish").unwrap_or(default.publish),
        url: settings.text("docker_url"),
        network: settings.text("docker_network"),
        pull: settings.optional("docker_pull").unwrap_or(default.pull),
        allow: settings.optional("docker_allow").unwrap_or(default.allow),
        pids_max: settings.optional("docker_pids_max").unwrap_or(default.pids_max),
        ..default
    };
    Some(Box::new(move || Box::pin(open(config))))
}

async fn open(config: Config) -> Result<Arc<dyn Driver>, NotOpened> {
    let docker =
        Docker::open(config).await.map_err(|e| NotOpened::because(e).hint("STREAMSPACE_DOCKER_HOST or DOCKER_HOST"))?;
    Ok(Arc::new(docker))
}
