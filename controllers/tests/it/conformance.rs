//! Every driver of this crate keeps every promise.

use std::{collections::HashMap, fs, path::PathBuf, sync::Arc, sync::Mutex, time::Duration};

use async_trait::async_trait;
use controllers::{
    conformance::{Platform, verify},
    driver::{Driver, Spec},
    drivers::noop::{Knobs, Noop},
};
use uuid::Uuid;

use crate::world::{World, processes, server};

#[async_trait]
impl Platform for World {
    async fn open(&self) -> Arc<dyn Driver> {
        Arc::new(World::open(self))
    }

    fn spec(&self) -> Spec {
        server()
    }

    async fn traces(&self, session: Uuid) -> Vec<String> {
        let mut traces =
            processes(&session.to_string()).into_iter().map(|pid| format!("process {pid}")).collect::<Vec<_>>();
        traces.extend(self.session_folder(session).exists().then(|| "folder".to_owned()));
        traces
    }

    async fn write(&self, session: Uuid, text: &str) {
        fs::write(self.home(session).join("note"), text).unwrap();
    }

    async fn read(&self, session: Uuid) -> Option<String> {
        fs::read_to_string(self.home(session).join("note")).ok()
    }
}

/// Nothing stands behind the table, so its traces are what the journal says, and its homes are kept here.
struct Table {
    journal: PathBuf,
    homes: Mutex<HashMap<Uuid, String>>,
    _folder: tempfile::TempDir,
}

#[async_trait]
impl Platform for Table {
    async fn open(&self) -> Arc<dyn Driver> {
        let (delay, readiness) = (Duration::from_millis(1), Duration::from_millis(2));
        let knobs = Knobs { delay, readiness, journal: Some(self.journal.clone()), ..Knobs::default() };
        Arc::new(Noop::open(knobs).unwrap())
    }

    fn spec(&self) -> Spec {
        server()
    }

    async fn traces(&self, session: Uuid) -> Vec<String> {
        let journal = fs::read_to_string(&self.journal).unwrap();
        let last = journal.lines().rfind(|line| line.contains(&session.to_string()));
        last.filter(|line| !line.contains("\"Gone\"")).map(|_| "entry".to_owned()).into_iter().collect()
    }

    async fn write(&self, session: Uuid, text: &str) {
        self.homes.lock().unwrap().insert(session, text.into());
    }

    async fn read(&self, session: Uuid) -> Option<String> {
        self.homes.lock().unwrap().get(&session).cloned()
    }
}

#[tokio::test]
async fn the_local_driver_keeps_every_promise() {
    verify(&World::new()).await.unwrap();
}

#[tokio::test]
async fn the_noop_driver_keeps_every_promise() {
    let folder = tempfile::tempdir().unwrap();
    let table = Table { journal: folder.path().join("journal"), homes: Mutex::default(), _folder: folder };
    verify(&table).await.unwrap();
}

#[tokio::test]
async fn a_noop_session_looks_used_when_it_is_told_to() {
    let (driver, id) = (Noop::open(Knobs::default()).unwrap(), uuid::Uuid::new_v4());
    let running = crate::world::desired(id, controllers::driver::Goal::Running, 1, None);
    assert_eq!(driver.ensure(&running).await.unwrap().connections, None);
    driver.look_used(id, Some(2), None);
    assert_eq!(driver.changed().await, id);
    assert_eq!(driver.observe(id).await.unwrap().unwrap().connections, Some(2));
}
