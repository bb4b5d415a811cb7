//! The driver keeps every promise.

use std::{fs, sync::Arc};

use async_trait::async_trait;
use controllers::{
    conformance::{Platform, verify},
    driver::{Driver, Spec},
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

#[tokio::test]
async fn the_local_driver_keeps_every_promise() {
    verify(&World::new()).await.unwrap();
}
