//! The driver keeps every promise.

use std::sync::Arc;

use async_trait::async_trait;
use controllers::{
    conformance::{Platform, verify},
    driver::{Driver, Spec},
};
use uuid::Uuid;

use crate::peer::{Peer, server};

#[async_trait]
impl Platform for Peer {
    async fn open(&self) -> Arc<dyn Driver> {
        Arc::new(Peer::open(self).await)
    }

    fn spec(&self) -> Spec {
        server()
    }

    async fn traces(&self, session: Uuid) -> Vec<String> {
        Peer::traces(self, Some(session)).await
    }

    async fn write(&self, session: Uuid, text: &str) {
        self.exec(session, &format!("printf %s '{text}' > $HOME/written")).await;
    }

    async fn read(&self, session: Uuid) -> Option<String> {
        Some(self.exec(session, "cat $HOME/written").await)
    }
}

#[tokio::test]
async fn the_docker_driver_keeps_every_promise() {
    let Some(peer) = Peer::new().await else { return };
    verify(&peer).await.unwrap();
    peer.clean().await;
}
