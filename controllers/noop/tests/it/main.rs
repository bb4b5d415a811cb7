//! The driver keeps every promise.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test fails by panicking

use std::{collections::HashMap, fs, path::PathBuf, sync::Arc, sync::Mutex, time::Duration};

use async_trait::async_trait;
use controllers::{
    conformance::{Platform, verify},
    driver::{Desired, Driver, Goal, Spec},
};
use driver_noop::{Knobs, Noop};
use streams::wire::Manifest;
use uuid::Uuid;

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
        let manifest = "apiVersion: stream.space/v1alpha1\nkind: Template\nmetadata: { name: test }\nspec: { displayName: Test }\n";
        let template = Manifest::parse_all(manifest).unwrap().pop();
        Spec { template_id: "test".into(), template, persistent_home: true, ..Spec::default() }
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
async fn the_noop_driver_keeps_every_promise() {
    let folder = tempfile::tempdir().unwrap();
    let table = Table { journal: folder.path().join("journal"), homes: Mutex::default(), _folder: folder };
    verify(&table).await.unwrap();
}

#[tokio::test]
async fn a_noop_session_looks_used_when_it_is_told_to() {
    let (driver, id) = (Noop::open(Knobs::default()).unwrap(), Uuid::new_v4());
    let (user_id, installation) = ("user1".into(), "test".into());
    let running =
        Desired { session_id: id, user_id, generation: 1, goal: Goal::Running, force: false, spec: None, installation };
    assert_eq!(driver.ensure(&running).await.unwrap().connections, None);
    driver.look_used(id, Some(2), None);
    assert_eq!(driver.changed().await, id);
    assert_eq!(driver.observe(id).await.unwrap().unwrap().connections, Some(2));
}
