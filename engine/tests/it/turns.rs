//! Many wait: who goes first, and who is sent away.

use engine::writer::{Ask, Error};
use engine::{CreateSession, request};
use futures::future::join_all;
use serde_json::Value;

use crate::rig::{Controller, Rig, request};

/// More than a controller gets before anything is known of its pace.
const CROWD: usize = 200;

async fn of(rig: &Rig, user_id: &str) -> uuid::Uuid {
    let asked = CreateSession { user_id: user_id.into(), ..request() };
    rig.engine.create_session(asked).await.expect("accepted").session_id
}

async fn take(controller: &mut Controller) -> Value {
    let command = controller.take().await;
    controller.report(&command, if command["force"].is_null() { "running" } else { "deleted" }).await;
    command
}

/// The place, among all commands that the controller gets from now on, of the first that is about each of these sessions.
async fn places<const N: usize>(controller: &mut Controller, wanted: [uuid::Uuid; N]) -> [usize; N] {
    let mut places = [usize::MAX; N];
    for place in 0..2 * CROWD {
        let command = take(controller).await;
        for (found, id) in places.iter_mut().zip(&wanted) {
            if command["session_id"] == id.to_string() {
                *found = (*found).min(place);
            }
        }
        if !places.contains(&usize::MAX) {
            break;
        }
    }
    places
}

async fn a_crowd_does_not_stand_before_everybody_else(rig: Rig) {
    let mut controller = rig.controller().await;
    let crowd = join_all((0..CROWD).map(|_| of(&rig, "crowd"))).await;
    let last = *crowd.last().expect("a crowd");
    let other = of(&rig, "other").await;
    rig.engine.ask(crowd[0], Ask::Delete { force: false }).await.expect("accepted");
    let [others, crowds] = places(&mut controller, [other, last]).await;
    assert!(others <= 66, "no more than the first window before it, and it had {others}");
    assert!(crowds > 150, "the crowd's last had {crowds}");
}

#[tokio::test]
async fn a_crowd_does_not_stand_before_everybody_else_on_sqlite() {
    a_crowd_does_not_stand_before_everybody_else(Rig::sqlite().await).await;
}

#[tokio::test]
async fn a_crowd_does_not_stand_before_everybody_else_on_postgresql() {
    a_crowd_does_not_stand_before_everybody_else(Rig::postgres().await).await;
}

#[tokio::test]
async fn a_delete_goes_before_creates_that_wait() {
    let rig = Rig::sqlite().await;
    let mut controller = rig.controller().await;
    let (old, _) = rig.running(&mut controller).await;
    let crowd = join_all((0..CROWD).map(|_| of(&rig, "crowd"))).await;
    rig.engine.ask(old, Ask::Delete { force: false }).await.expect("accepted");
    let [deleted, last] = places(&mut controller, [old, crowd[CROWD - 1]]).await;
    assert!(deleted <= 66 && last > 150, "the delete had place {deleted}, the last create {last}");
}

#[tokio::test]
async fn what_starts_more_is_sent_away_while_too_much_waits_and_what_ends_something_is_not() {
    let mut rig = Rig::sqlite().await;
    rig.limit(3).await; // no controller: every create waits
    let first = rig.create().await.session_id;
    rig.create().await;
    rig.create().await;
    let refused = rig.engine.create_session(request()).await.expect_err("full");
    assert!(matches!(refused, request::Error::Writer(Error::Backlog { waiting: 3, limit: 3 })), "{refused}");
    rig.engine.ask(first, Ask::Delete { force: false }).await.expect("a delete is always taken");
}
