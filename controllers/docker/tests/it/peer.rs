//! The engine that the tests run on, looked at past the driver by the docker command's own protocol.

use std::{collections::HashMap, process::Command, sync::Arc, time::Duration};

use bollard::{
    API_DEFAULT_VERSION, Docker as Api,
    models::{ContainerInspectResponse, ExecConfig},
    query_parameters::{
        ListContainersOptionsBuilder, ListVolumesOptionsBuilder, RemoveContainerOptionsBuilder, RemoveVolumeOptions,
    },
};
use controllers::driver::{Desired, Driver, Goal, Observed, Spec};
use driver_docker::{Config, Docker};
use futures::StreamExt as _;
use streams::{
    testing::disk::WITHOUT,
    wire::{Failure, Manifest, Resources},
};
use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};
use uuid::Uuid;

/// Held by all that use the engine, and alone by what restarts it.
static ENGINE: RwLock<()> = RwLock::const_new(());

/// The image that `scripts/with-docker.sh` makes.
pub(crate) const IMAGE: &str = "streamspace-test:busybox";

/// Ends at once when it is asked to, which a shell that is the first process does not by itself.
pub(crate) const SERVE: &str = "trap 'exit 0' TERM; httpd -f -p 8080 -h /www & wait";

/// The engine, and an installation of a test's own on it; what is left of that is removed with it.
pub(crate) struct Peer {
    pub(crate) api: Api,
    pub(crate) installation: String,
    _engine: Guard,
}

enum Guard {
    Shared(#[allow(dead_code)] RwLockReadGuard<'static, ()>),
    Alone(#[allow(dead_code)] RwLockWriteGuard<'static, ()>),
}

fn address() -> Option<String> {
    if let Ok(address) = std::env::var("STREAMSPACE_TEST_DOCKER") {
        return Some(address);
    }
    let without = [std::env::var(WITHOUT), std::env::var("WITHOUT")];
    let left_out = without.iter().flatten().any(|names| names.split(',').any(|name| name.trim() == "docker"));
    assert!(
        left_out,
        "a Docker engine is needed: run this by scripts/with-docker.sh, or leave it out with {WITHOUT}=docker"
    );
    eprintln!("left out, as {WITHOUT} says: this test needs a Docker engine");
    None
}

impl Peer {
    /// `None` where such tests are left out.
    pub(crate) async fn new() -> Option<Self> {
        address()?;
        Some(Self::with(Guard::Shared(ENGINE.read().await)))
    }

    /// The same with nobody else on the engine.
    pub(crate) async fn alone() -> Option<Self> {
        address()?;
        Some(Self::with(Guard::Alone(ENGINE.write().await)))
    }

    fn with(guard: Guard) -> Self {
        let api = Api::connect_with_unix(&address().unwrap(), 60, API_DEFAULT_VERSION).unwrap();
        Self { api, installation: format!("test-{}", &Uuid::new_v4().simple().to_string()[..10]), _engine: guard }
    }

    pub(crate) fn config(&self) -> Config {
        Config {
            host: address(),
            installation: self.installation.clone(),
            controller_id: "docker-1".into(),
            grace: Duration::from_secs(3),
            ..Config::default()
        }
    }

    pub(crate) async fn open(&self) -> Docker {
        Docker::open(self.config()).await.unwrap()
    }

    pub(crate) fn name(&self, session: Uuid) -> String {
        format!("{}-{session}", self.installation)
    }

    pub(crate) async fn inspect(&self, session: Uuid) -> ContainerInspectResponse {
        self.api.inspect_container(&self.name(session), None).await.unwrap()
    }

    fn ours(&self, session: Option<Uuid>) -> HashMap<String, Vec<String>> {
        let mut labels = vec![format!("space.stream.installation={}", self.installation)];
        labels.extend(session.map(|session| format!("space.stream.session={session}")));
        HashMap::from([("label".to_owned(), labels)])
    }

    /// Names of everything that exists for a session.
    pub(crate) async fn traces(&self, session: Option<Uuid>) -> Vec<String> {
        let filters = self.ours(session);
        let containers = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
        let containers = self.api.list_containers(Some(containers)).await.unwrap();
        let volumes = ListVolumesOptionsBuilder::default().filters(&filters).build();
        let volumes = self.api.list_volumes(Some(volumes)).await.unwrap().volumes.unwrap_or_default();
        let mut names = containers.into_iter().filter_map(|one| one.id).collect::<Vec<_>>();
        names.extend(volumes.into_iter().map(|volume| volume.name));
        names.sort();
        names
    }

    /// Runs a command in a session's container, and answers what it wrote.
    pub(crate) async fn exec(&self, session: Uuid, script: &str) -> String {
        let cmd = ["sh", "-c", script].map(str::to_owned).to_vec();
        let config = ExecConfig {
            cmd: Some(cmd),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            ..ExecConfig::default()
        };
        let exec = self.api.create_exec(&self.name(session), config).await.unwrap().id;
        let started = self.api.start_exec(&exec, None).await.unwrap();
        let bollard::exec::StartExecResults::Attached { mut output, .. } = started else { return String::new() };
        let mut text = Vec::new();
        while let Some(Ok(piece)) = output.next().await {
            text.extend_from_slice(&piece.into_bytes());
        }
        String::from_utf8_lossy(&text).into_owned()
    }

    /// Removes all that is left of the installation.
    pub(crate) async fn clean(self) {
        let filters = self.ours(None);
        let containers = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
        let force = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
        for id in self.api.list_containers(Some(containers)).await.unwrap().into_iter().filter_map(|one| one.id) {
            let _ = self.api.remove_container(&id, Some(force.clone())).await;
        }
        for name in self.traces(None).await {
            let _ = self.api.remove_volume(&name, None::<RemoveVolumeOptions>).await;
        }
    }
}

/// A template with more in `spec.docker`, as JSON.
pub(crate) fn template(script: &str, more: &str) -> Spec {
    let mut docker: serde_json::Value = serde_json::from_str(more).unwrap();
    let block = docker.as_object_mut().unwrap();
    block.entry("command").or_insert_with(|| serde_json::json!(["/bin/sh", "-c", script]));
    block.entry("readiness").or_insert_with(|| serde_json::json!({ "path": "/", "timeout": "20s" }));
    let manifest = serde_json::json!({
        "apiVersion": "stream.space/v1alpha1", "kind": "Template", "metadata": { "name": "test" },
        "spec": {
            "displayName": "Test", "baseImage": IMAGE, "ports": [{ "name": "http", "containerPort": 8080 }],
            "env": [{ "name": "GREETING", "value": "hello" }],
            "volumeMounts": [{ "name": "user-home", "mountPath": "/filled" }, { "name": "cache", "mountPath": "/cache" }],
            "docker": docker,
        },
    });
    Spec {
        template_id: "test".into(),
        template: Manifest::parse_all(&manifest.to_string()).unwrap().pop(),
        resources: Resources { memory: Some("64Mi".into()), cpu: Some("500m".into()) },
        persistent_home: true,
        ..Spec::default()
    }
}

/// A web server.
pub(crate) fn server() -> Spec {
    template(SERVE, "{}")
}

pub(crate) fn desired(id: Uuid, goal: Goal, generation: i64, spec: Option<Spec>) -> Desired {
    Desired {
        session_id: id,
        user_id: format!("user-{id}"),
        generation,
        goal,
        force: false,
        spec: spec.map(Arc::new),
        installation: "test".into(),
    }
}

pub(crate) async fn run(driver: &Docker, id: Uuid, spec: Spec) -> Result<Observed, Failure> {
    driver.ensure(&desired(id, Goal::Running, 1, Some(spec))).await
}

/// Waits until a session was seen as `so`, woken by the driver or not.
pub(crate) async fn seen(driver: &Docker, id: Uuid, what: &str, so: impl Fn(&Observed) -> bool) -> Observed {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    loop {
        let observed = driver.observe(id).await;
        if let Ok(Some(observed)) = &observed
            && so(observed)
        {
            return observed.clone();
        }
        assert!(tokio::time::Instant::now() < deadline, "never {what}: {observed:?}");
        let _ = tokio::time::timeout(Duration::from_millis(100), driver.changed()).await; // looks again either way
    }
}

/// Waits until the driver says that a session changed.
pub(crate) async fn told(driver: &Docker, id: Uuid) {
    let named = async { while driver.changed().await != id {} };
    tokio::time::timeout(Duration::from_secs(20), named).await.expect("a change is told");
}

/// Kills the engine as a crash would, and starts it again on what it left.
pub(crate) fn crash_and_restart_engine() {
    let folder = std::env::var("STREAMSPACE_TEST_DOCKER_FOLDER").expect("the folder of the private engine");
    let pid = std::fs::read_to_string(format!("{folder}/docker.pid")).expect("its pid file");
    let sudo = if rustix_is_root() { "" } else { "sudo -n " };
    let script = format!(
        "{sudo}kill -KILL {pid}; while [ -d /proc/{pid} ]; do sleep 0.05; done; {sudo}rm -f {folder}/docker.pid; \
         {}/../../scripts/private-dockerd.sh start {folder}",
        env!("CARGO_MANIFEST_DIR"),
        pid = pid.trim(),
    );
    let out = Command::new("sh").args(["-ec", &script]).output().unwrap();
    assert!(out.status.success(), "{out:?}");
}

fn rustix_is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|out| out.stdout == b"0\n")
}
