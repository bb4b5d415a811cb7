//! An operator revokes a controller: its sessions move, once and whole, and what it had it is told to remove when it is back.

use std::time::Duration;

use engine::account::unaccounted;
use engine::fold::fold;
use engine::store::{cleanup, job, session};
use engine::writer::Ask;
use futures::future::join_all;
use machine::facts::Facts as _;
use sea_orm::EntityTrait;
use serde_json::json;
use uuid::Uuid;

use crate::rig::{Controller, OWNER, Rig, eventually, lane, request};

const OTHER: &str = "host-2";

impl Rig {
    async fn revoke(&self, id: &str) -> job::Model {
        self.engine.revoke(id, "the host is gone".into(), "ann".into()).await.expect("revoked").1
    }

    async fn moved(&self, job: Uuid) -> job::Model {
        let over = || async {
            let row = engine::queries::job(self.engine.reader(), job).await.expect("readable")?;
            Some(row).filter(|row| !row.is_running())
        };
        eventually("the job is over", over).await
    }

    async fn debts(&self) -> Vec<cleanup::Model> {
        cleanup::Entity::find().all(self.engine.reader()).await.expect("readable")
    }

    async fn settled(&self) -> cleanup::Model {
        let settled = || async { self.debts().await.into_iter().find(|row| row.status == "settled") };
        eventually("the debt is settled", settled).await
    }

    /// Every command is accounted for, and the log of every session and debt folds to its row.
    async fn in_order(&self) {
        let db = self.engine.reader();
        assert_eq!(unaccounted(db).await.expect("readable"), 0);
        for row in session::Entity::find().all(db).await.expect("readable") {
            let folded = fold(db, &session::Model::entity(row.session_id)).await.expect("no gaps");
            assert_eq!(folded, row.hard().expect("readable"));
        }
        for row in self.debts().await {
            let folded = fold(db, &cleanup::Model::entity(row.debt_id)).await.expect("no gaps");
            for (name, value) in row.facts().expect("readable").hard() {
                assert_eq!(folded[&name], value, "{name}");
            }
        }
    }

    async fn asleep(&self, controller: &mut Controller) -> Uuid {
        let (id, _) = self.running(controller).await;
        self.engine.ask(id, Ask::Hibernate).await.expect("asked");
        let command = controller.take().await;
        controller.report(&command, "hibernated").await;
        self.until(id, "hibernated").await;
        id
    }
}

#[tokio::test]
async fn sessions_of_a_revoked_controller_start_elsewhere_and_it_owes_their_removal() {
    for rig in [Rig::sqlite().await, Rig::postgres().await] {
        let mut old = rig.controller().await;
        let (running, before) = rig.running(&mut old).await;
        let asleep = rig.asleep(&mut old).await;
        let mut new = rig.controller_named(OTHER).await;
        let asked = rig.revoke(OWNER).await;
        assert_eq!((asked.kind.as_str(), asked.created_by.as_str()), ("sessions.move", "ann"));
        let job = rig.moved(asked.job_id).await;
        assert_eq!((job.status.as_str(), job.done, job.failed, job.total), ("completed", 2, 0, 2));

        let wake = new.take().await;
        assert_eq!((&wake["session_id"], wake["generation"].as_i64()), (&before["session_id"], Some(2)));
        assert!(wake["template"].is_object(), "all that it takes to start it: {wake}");
        new.report(&wake, "running").await;
        let row = rig.until(running, "running").await;
        assert_eq!((row.controller_id.as_deref(), row.generation), (Some(OTHER), 2));
        let row = rig.session(asleep).await;
        assert_eq!((row.status.as_str(), row.controller_id, row.command_id), ("hibernated", None, None));

        let mut owed = Vec::new();
        for _ in 0..2 {
            let delete = old.take().await;
            assert_eq!(delete["force"], true, "{delete}");
            owed.push(delete["session_id"].as_str().expect("an id").to_owned());
            old.report(&delete, "deleted").await;
        }
        owed.sort();
        let mut both = [running.to_string(), asleep.to_string()];
        both.sort();
        assert_eq!(owed, both);
        let settled = || async { rig.debts().await.iter().all(|row| row.status == "settled").then_some(()) };
        eventually("nothing is owed", settled).await;
        let row = rig.session(running).await;
        assert_eq!(
            (row.status.as_str(), row.controller_id.as_deref()),
            ("running", Some(OTHER)),
            "the removal is another's"
        );
        assert!(rig.dead_letters().await.is_empty(), "nobody's report was lost");

        rig.engine.ask(asleep, Ask::Wake).await.expect("asked");
        let wake = new.take().await;
        assert_eq!(wake["session_id"], json!(asleep));
        rig.in_order().await;
        rig.engine.stop().await;
    }
}

#[tokio::test]
async fn a_controller_that_was_away_is_told_to_remove_what_it_has_when_it_is_back() {
    for mut rig in [Rig::sqlite().await, Rig::postgres().await] {
        let mut old = rig.controller().await;
        let (id, command) = rig.running(&mut old).await;
        rig.clock.advance(Duration::from_secs(60));
        let silent = || async { Some(rig.host(OWNER).await).filter(|row| row.status.as_deref() == Some("unhealthy")) };
        eventually("silent", silent).await;
        let row = rig.session(id).await;
        assert_eq!(
            (row.controller_id.as_deref(), row.generation),
            (Some(OWNER), 1),
            "a missed heartbeat moves nothing"
        );

        let asked = rig.revoke(OWNER).await;
        assert_eq!(rig.moved(asked.job_id).await.done, 1);
        let row = rig.session(id).await;
        assert_eq!((row.status.as_str(), row.controller_id.as_deref()), ("waking", None));
        assert!(
            row.reason.as_deref().is_some_and(|why| why.contains("host-1: revoked by ann: the host is gone")),
            "{row:?}"
        );
        rig.restart().await;

        // it is back, and still has it: what it says of it is nothing to the session, and no dead letter either
        let late = old.status(&command, "running", json!({ "causation_id": null, "attempt": null }));
        old.publish(&lane(), late).await;
        let delete = old.take().await;
        assert_eq!((&delete["session_id"], delete["generation"].as_i64()), (&json!(id), Some(2)));
        old.report(&delete, "deleted").await;
        assert_eq!(rig.settled().await.controller_id, OWNER);
        assert!(rig.dead_letters().await.is_empty());
        assert_eq!(rig.session(id).await.status, "waking", "it waits for another controller");
        let mut new = rig.controller_named(OTHER).await;
        let wake = new.take().await;
        assert_eq!(wake["session_id"], json!(id));
        rig.in_order().await;
        rig.engine.stop().await;
    }
}

#[tokio::test]
async fn a_debt_that_fails_is_tried_again_and_what_exists_after_all_is_deleted_again() {
    let rig = Rig::sqlite().await;
    let mut old = rig.controller().await;
    let (_, command) = rig.running(&mut old).await;
    let asked = rig.revoke(OWNER).await;
    rig.moved(asked.job_id).await;
    let delete = old.take().await;
    old.fail(&delete, true).await;
    let armed = || async { rig.debts().await.into_iter().find(|row| row.next_attempt_ms.is_some()) };
    eventually("a retry is armed", armed).await;
    rig.clock.advance(Duration::from_secs(2));
    let again = old.take().await;
    assert_eq!((again["attempt"].as_i64(), &again["event_id"]), (Some(2), &delete["event_id"]));
    old.report(&again, "deleted").await;
    rig.settled().await;
    let late = old.status(&command, "running", json!({ "causation_id": null, "attempt": null }));
    old.publish(&lane(), late).await;
    let once_more = old.take().await;
    assert_eq!(once_more["generation"].as_i64(), Some(3));
    old.report(&once_more, "deleted").await;
    rig.settled().await;
    rig.in_order().await;
}

#[tokio::test]
async fn a_removal_that_is_given_up_is_a_dead_letter_that_can_be_replayed() {
    let rig = Rig::sqlite().await;
    let mut old = rig.controller().await;
    rig.running(&mut old).await;
    let asked = rig.revoke(OWNER).await;
    rig.moved(asked.job_id).await;
    let delete = old.take().await;
    old.fail(&delete, false).await;
    let letter = rig.dead_letter("permanent").await;
    assert!(letter.entity.as_deref().is_some_and(|entity| entity.starts_with("debt:")), "{letter:?}");
    assert_eq!(rig.debts().await[0].status, "failed");
    rig.engine.replay(letter.id, "ann".into()).await.expect("replayed");
    let again = old.take().await;
    assert_eq!(again["generation"].as_i64(), Some(3));
    old.report(&again, "deleted").await;
    rig.settled().await;
    rig.in_order().await;
}

#[tokio::test]
async fn revoking_twice_is_revoking_once_and_reinstating_brings_no_session_back_to_what_is_to_be_removed() {
    for rig in [Rig::sqlite().await, Rig::postgres().await] {
        let mut old = rig.controller().await;
        let (id, _) = rig.running(&mut old).await;
        let asked = rig.revoke(OWNER).await;
        assert_eq!(rig.revoke(OWNER).await.job_id, asked.job_id);
        rig.moved(asked.job_id).await;
        let log = engine::queries::events(rig.engine.reader(), "controller:host-1", 0, 1000).await.expect("readable");
        let said: Vec<_> = log.iter().filter(|row| row.payload["decision"] == "controller_revoked").collect();
        assert_eq!(said.len(), 1);
        assert_eq!((&said[0].payload["by"], &said[0].payload["note"]), (&json!("ann"), &json!("the host is gone")));

        let back = rig.engine.reinstate(OWNER, "repaired".into(), "ann".into()).await.expect("reinstated");
        assert!(!back.revoked && back.ready(), "{back:?}");
        let place = || async { rig.session(id).await.reason.filter(|why| why.contains("has still to remove")) };
        rig.clock.advance(Duration::from_secs(1));
        let fresh = rig.create().await;
        assert_eq!(fresh.controller_id.as_deref(), Some(OWNER), "new work is taken");
        let moved = rig.session(id).await;
        assert!(moved.controller_id.is_none(), "{moved:?}");
        let delete = old.take().await;
        assert_eq!(delete["session_id"], json!(id));
        eventually("it says why it waits", place).await;
        old.report(&delete, "deleted").await;
        let wake = loop {
            let command = old.take().await;
            old.report(&command, "running").await;
            if command["session_id"] == json!(id) {
                break command;
            }
        };
        assert!(wake["generation"].as_i64() > delete["generation"].as_i64().map(|generation| generation - 1), "{wake}");
        rig.until(id, "running").await;
        rig.in_order().await;
        rig.engine.stop().await;
    }
}

#[tokio::test]
async fn what_was_being_deleted_on_a_revoked_controller_is_deleted_for_its_user_at_once() {
    let rig = Rig::sqlite().await;
    let mut old = rig.controller().await;
    let (id, _) = rig.running(&mut old).await;
    rig.engine.ask(id, Ask::Delete { force: false }).await.expect("asked");
    let asked = rig.revoke(OWNER).await;
    rig.moved(asked.job_id).await;
    let row = rig.session(id).await;
    assert_eq!((row.status.as_str(), row.debt, row.controller_id.as_deref()), ("deleted", true, Some(OWNER)));
    let delete = old.take().await;
    old.report(&delete, "deleted").await;
    let paid = || async { Some(rig.session(id).await).filter(|row| !row.debt) };
    eventually("the clean-up is done", paid).await;
    assert!(rig.debts().await.is_empty(), "its own command is the debt");
    rig.in_order().await;
}

#[tokio::test]
async fn a_session_that_was_sent_nowhere_leaves_no_debt_and_many_move_by_one_job() {
    for rig in [Rig::sqlite().await, Rig::postgres().await] {
        let _old = rig.controller().await;
        rig.engine
            .order_breaker(OWNER, machine::breaker::Order::HoldClosed, "x".into(), "ann".into())
            .await
            .expect("held");
        let created = join_all((0..150).map(|_| rig.engine.create_session(request()))).await;
        assert!(created.iter().all(Result::is_ok));
        let _new = rig.controller_named(OTHER).await;
        let asked = rig.revoke(OWNER).await;
        let job = rig.moved(asked.job_id).await;
        assert_eq!((job.done, job.failed), (150, 0));
        let rows = session::Entity::find().all(rig.engine.reader()).await.expect("readable");
        assert!(rows.iter().all(|row| row.controller_id.as_deref() == Some(OTHER) && row.generation == 2));
        assert!(
            rows.iter().all(|row| row.status == "pending" && row.command_verb.as_deref() == Some("session.create"))
        );
        assert_eq!(rig.debts().await.len(), 150, "each was on its way");
        rig.in_order().await;
        rig.engine.stop().await;
    }
}
