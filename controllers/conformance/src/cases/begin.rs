//! The first start: the controller is refused, then let in.

use std::time::Duration;

use streams::wire::{ControllerHealth, Heartbeat, World};
use tokio::time::Instant;

use super::same;
use crate::account::{Finding, Outcome};
use crate::book::Heard;
use crate::exam::{Exam, START};
use crate::{Error, Lane, Promise};

/// How long it is refused: some heartbeats at the interval that it was given.
const REFUSED: Duration = Duration::from_millis(2_500);

/// Starts it. It has to be heard, whatever is to be checked.
pub(crate) async fn start(exam: &Exam) -> Result<(), Error> {
    let began = Instant::now();
    *exam.running.lock().await = Some(exam.program.start(&[])?);
    let (heartbeat, asked) = first_heartbeat(exam).await?;
    exam.found(Promise::Heartbeat, check_heartbeat(exam, &heartbeat), began);
    let refused = refused(exam, asked).await;
    exam.engine.admit();
    exam.found(Promise::Refused, refused, began);
    exam.found(Promise::InventoryFirst, inventory_first(exam).await, began);
    Ok(())
}

async fn first_heartbeat(exam: &Exam) -> Result<(Heartbeat, bool), Error> {
    let deadline = Instant::now() + START;
    let beat = |heard: &Heard| match heard {
        Heard::Heartbeat(heartbeat, asked) => Some((heartbeat.clone(), *asked)),
        _ => None,
    };
    loop {
        if let Some(found) = exam.engine.book.wait(0, Duration::from_millis(200), beat).await {
            return Ok(found);
        }
        let ended = exam.running.lock().await.as_mut().and_then(crate::program::Process::ended);
        if ended.is_some() || Instant::now() > deadline {
            let ended = ended.map(|status| format!("; it ended with {status}")).unwrap_or_default();
            return Err(Error::Silent { seconds: START.as_secs(), ended, log: exam.program.log_tail() });
        }
    }
}

fn check_heartbeat(exam: &Exam, heartbeat: &Heartbeat) -> Finding {
    same(&heartbeat.controller_id.as_str(), &exam.engine.id.as_str(), "controller_id")?;
    same(&heartbeat.platform.as_str(), &exam.engine.platform.as_str(), "platform")?;
    same(&heartbeat.status, &ControllerHealth::Healthy, "status")?;
    if !heartbeat.capabilities.iter().any(|one| one == "sessions") {
        return Err(format!("capabilities should have \"sessions\", and are {:?}", heartbeat.capabilities));
    }
    let durable = heartbeat.protocol.unwrap_or(1) >= 2;
    same(&durable, &(exam.engine.lane == Lane::Durable), "whether `protocol` is that of the durable lane")?;
    if durable {
        for (field, is_there) in [
            ("instance_id", heartbeat.instance_id.is_some()),
            ("world_id", heartbeat.world_id.is_some()),
            ("capacity", heartbeat.capacity.is_some()),
            ("interval_seconds", heartbeat.interval_seconds.is_some()),
        ] {
            same(&is_there, &true, &format!("whether {field} is there"))?;
        }
    }
    Ok(Outcome::Passed)
}

/// While it is refused it neither reports nor acts.
async fn refused(exam: &Exam, asked: bool) -> Finding {
    if !asked {
        return Ok(Outcome::NotSeen("its heartbeats are no requests, so it was not refused".into()));
    }
    let works = |heard: &Heard| match heard {
        Heard::Inventory(_) => Some("reported its inventory"),
        Heard::Session(_) => Some("reported a session"),
        Heard::Ack(..) => Some("took a command"),
        _ => None,
    };
    match exam.engine.book.wait(0, REFUSED, works).await {
        Some(what) => Err(format!("its heartbeat was refused, and it {what}")),
        None => Ok(Outcome::Passed),
    }
}

async fn inventory_first(exam: &Exam) -> Finding {
    if let Some(absent) = exam.only_durable("inventory") {
        return Ok(absent);
    }
    let page = |heard: &Heard| match heard {
        Heard::Inventory(page) => Some(page.clone()),
        _ => None,
    };
    let page: World = exam.engine.book.wait(0, START, page).await.ok_or("it reported no inventory at its start")?;
    same(&page.controller_id.as_str(), &exam.engine.id.as_str(), "controller_id")?;
    same(&(page.part, page.last, page.sessions.len()), &(0, true, 0), "part, last and sessions of an empty inventory")?;
    let instance = exam.heartbeat().and_then(|heartbeat| heartbeat.instance_id);
    same(&Some(page.instance_id), &instance, "instance_id")?;
    Ok(Outcome::Passed)
}
