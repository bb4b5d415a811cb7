//! A local world in a temporary folder, looked at from the outside; it ends what a test left running.

use std::{
    fs,
    path::PathBuf,
    process::Command,
    sync::{Arc, LazyLock},
    time::{Duration, Instant},
};

use controllers::driver::{Desired, Goal, Spec};
pub(crate) use controllers::testing::until;
use driver_local::{Config, Error, Local};
use streams::wire::{Manifest, Resources};
use tempfile::TempDir;
use uuid::Uuid;

/// The interpreter itself: a shim may want the home that a session does not have. The system's own, where there is one: a user
/// of the machine can reach that.
pub(crate) static PYTHON: LazyLock<String> = LazyLock::new(|| {
    if let Ok(system) = fs::canonicalize("/usr/bin/python3") {
        return system.display().to_string();
    }
    let out = Command::new("python3").args(["-c", "import sys; print(sys.executable)"]).output().expect("python3");
    String::from_utf8(out.stdout).expect("utf-8").trim().to_owned()
});

pub(crate) struct World {
    pub(crate) folder: TempDir,
}

impl World {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn config(&self) -> Config {
        let connections_interval = Duration::from_millis(100);
        let executable = env!("CARGO_BIN_EXE_session-helper").into();
        Config { connections_interval, executable, grace: Duration::from_secs(2), ..Config::new(self.folder.path()) }
    }

    /// Another test of this process that starts one of its own has a copy of each lock from its fork until its exec, so that the lock
    /// of a driver that was dropped is free only then.
    pub(crate) fn open(&self) -> Local {
        self.open_as(self.config())
    }

    /// The same with another configuration.
    pub(crate) fn open_as(&self, config: Config) -> Local {
        let deadline = Instant::now() + Duration::from_secs(2);
        loop {
            match Local::open(config.clone()) {
                Err(Error::InUse(_)) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(5)),
                opened => return opened.unwrap(),
            }
        }
    }

    pub(crate) fn session_folder(&self, session: Uuid) -> PathBuf {
        self.folder.path().join("sessions").join(session.to_string())
    }

    pub(crate) fn state(&self, session: Uuid) -> serde_json::Value {
        serde_json::from_slice(&fs::read(self.session_folder(session).join("state.json")).unwrap()).unwrap()
    }

    /// Where a session's user finds what it wrote.
    pub(crate) fn home(&self, session: Uuid) -> PathBuf {
        self.state(session)["home"].as_str().unwrap().into()
    }

    pub(crate) fn pid(&self, session: Uuid) -> i32 {
        self.state(session)["process"]["pid"].as_i64().unwrap().try_into().unwrap()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let Ok(sessions) = fs::read_dir(self.folder.path().join("sessions")) else { return };
        for session in sessions.flatten() {
            let id = session.file_name().to_string_lossy().into_owned();
            processes(&id).into_iter().for_each(kill);
        }
    }
}

/// Living processes that carry a session's mark.
pub(crate) fn processes(session: &str) -> Vec<i32> {
    let mark = format!("STREAMSPACE_SESSION_ID={session}");
    let pids = fs::read_dir("/proc").unwrap().flatten().filter_map(|e| e.file_name().to_str()?.parse().ok());
    pids.filter(|pid| alive(*pid))
        .filter(|pid| {
            fs::read(format!("/proc/{pid}/environ"))
                .is_ok_and(|env| env.split(|b| *b == 0).any(|e| e == mark.as_bytes()))
        })
        .collect()
}

pub(crate) fn alive(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

pub(crate) fn kill(pid: i32) {
    if let Some(pid) = rustix::process::Pid::from_raw(pid) {
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
    }
}

pub(crate) fn template(command: &[&str], readiness: Option<&str>) -> Manifest {
    let argv = serde_json::to_string(command).unwrap();
    let readiness = readiness.map(|r| format!("    readiness: {r}\n")).unwrap_or_default();
    let yaml = format!(
        "apiVersion: stream.space/v1alpha1\nkind: Template\nmetadata: {{ name: test }}\nspec:\n  displayName: Test\n  env:\n    - {{ name: GREETING, value: hello }}\n  local:\n    command: {argv}\n{readiness}"
    );
    Manifest::parse_all(&yaml).unwrap().remove(0)
}

/// The same with more of the block `spec.local`, as a line of YAML.
pub(crate) fn with(spec: Spec, local: &str) -> Spec {
    let mut manifest = serde_json::to_value(spec.template.as_ref().unwrap()).unwrap();
    let more: serde_json::Value = serde_json::from_str(local).unwrap();
    manifest["spec"]["local"].as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    Spec { template: Some(Manifest::parse_all(&manifest.to_string()).unwrap().remove(0)), ..spec }
}

/// Root is needed for what the name says. Without it a test fails, unless `WITHOUT=root` says that it is left out.
pub(crate) fn root(what: &str) -> bool {
    if rustix::process::geteuid().is_root() {
        return true;
    }
    let without = std::env::var("WITHOUT").unwrap_or_default();
    assert!(without.split(',').any(|one| one == "root"), "{what} needs root; WITHOUT=root leaves this test out");
    false
}

pub(crate) fn spec(template: Manifest) -> Spec {
    Spec {
        template_id: "test".into(),
        template: Some(template),
        resources: Resources { memory: Some("2Gi".into()), cpu: None },
        persistent_home: true,
        ..Spec::default()
    }
}

/// A web server on its home.
pub(crate) fn server() -> Spec {
    let command = [PYTHON.as_str(), "-m", "http.server", "${PORT}", "--bind", "127.0.0.1", "--directory", "${HOME}"];
    spec(template(&command, Some("{ path: /, timeout: 20s }")))
}

/// A Python program.
pub(crate) fn program(code: &str, readiness: &str) -> Spec {
    spec(template(&[PYTHON.as_str(), "-c", code], Some(readiness)))
}

pub(crate) fn desired(session_id: Uuid, goal: Goal, generation: i64, spec: Option<Spec>) -> Desired {
    let (user_id, installation) = ("user1".into(), "test".into());
    let spec = spec.map(Arc::new);
    Desired { session_id, user_id, generation, goal, force: false, spec, installation }
}
