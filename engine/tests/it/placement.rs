//! Who gets what: by labels, and with the reason kept.

use engine::CreateSession;
use engine::store::session;
use serde_json::{Map, Value, json};

use crate::rig::{Rig, eventually, request};

impl Rig {
    async fn wanted_in(&self, zone: &str) -> session::Model {
        let selector = Map::from_iter([("zone".to_owned(), json!(zone))]);
        self.engine.create_session(CreateSession { selector, ..request() }).await.expect("accepted")
    }
}

#[tokio::test]
async fn a_session_goes_where_the_labels_are_and_what_asks_for_the_impossible_keeps_nobody_waiting() {
    for rig in [Rig::sqlite().await, Rig::postgres().await] {
        let moon = rig.wanted_in("moon").await;
        let eu = rig.wanted_in("eu").await;
        let plain = rig.create().await;
        let _us = rig.announced_as("host-us", json!({ "zone": "us" })).await;
        let _eu = rig.announced_as("host-eu", json!({ "zone": "eu", "gpu": "yes" })).await;
        let owner = |row: session::Model| row.controller_id.map(|owner| (owner, row.placement.unwrap_or_default()));
        let placed = eventually("it is placed", || async { owner(rig.session(eu.session_id).await) }).await;
        assert_eq!(placed.0, "host-eu");
        assert!(placed.1.starts_with("the only one that fits, with"), "{placed:?}");
        eventually("it goes anywhere", || async { owner(rig.session(plain.session_id).await) }).await;
        let why = || async {
            let row = rig.session(moon.session_id).await;
            row.reason.filter(|why| why.contains("host-eu: its labels lack zone=moon"))
        };
        let why = eventually("it says what is lacking", why).await;
        assert!(why.contains("host-us: its labels lack zone=moon"), "{why}");
        let fresh = rig.wanted_in("us").await;
        assert_eq!(fresh.controller_id.as_deref(), Some("host-us"), "at once, where there is one");
        rig.engine.stop().await;
    }
}

#[tokio::test]
async fn a_selector_that_makes_no_sense_names_each_of_its_mistakes() {
    let rig = Rig::sqlite().await;
    let selector: Map<String, Value> = Map::from_iter([("zone".to_owned(), json!(1)), (String::new(), json!("x"))]);
    let refused = rig.engine.create_session(CreateSession { selector, ..request() }).await.expect_err("refused");
    let text = refused.to_string();
    assert!(text.contains("selector.zone: must be a text") && text.contains("selector.: must be 1 to 64"), "{text}");
}
