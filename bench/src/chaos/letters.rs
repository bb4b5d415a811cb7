//! The dead letters of a round: those that strangers caused, and those that only our own parts can have caused.

use std::time::Instant;

use anyhow::{Result, ensure};
use engine::store::dead_letter;
use migrations::connect::Database;
use reqwest::Method;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use tokio::time::sleep;

use super::crowd::POISON;
use super::strangers::Strangers;
use super::verdict::{DEADLINE, LOOK};
use crate::stack::Stack;

/// Waits until each of so many unreadable reports is a dead letter, or the deadline passes; returns what is
/// wrong then.
///
/// # Errors
/// The database cannot be read.
pub(super) async fn parked(database: &Database, poison: usize) -> Result<Option<String>> {
    let begun = Instant::now();
    loop {
        let letters = dead_letter::Entity::find().filter(dead_letter::Column::Reason.eq("undecodable"));
        let letters = letters.all(&database.reader).await?;
        let letters = letters.iter().filter(|letter| letter.payload.starts_with(POISON.as_bytes())).count();
        if letters == poison || begun.elapsed() > DEADLINE {
            return Ok(
                (letters != poison).then(|| format!("lost: of {poison} unreadable reports {letters} are dead letters"))
            );
        }
        sleep(LOOK).await;
    }
}

/// Counts the letters that strangers caused. Any other is wrong: the drivers of a round never fail and lost
/// commands are sent again, so no command uses up its attempts.
///
/// # Errors
/// The database cannot be read.
pub(super) async fn judge(database: &Database, strangers: &Strangers, wrong: &mut Vec<String>) -> Result<usize> {
    let mut foreign = 0;
    for letter in dead_letter::Entity::find().all(&database.reader).await? {
        if strangers.sent(&letter).await {
            foreign += 1;
            continue;
        }
        let dead_letter::Model { id, subject, reason, error, .. } = &letter;
        let payload: String = String::from_utf8_lossy(&letter.payload).chars().take(300).collect();
        wrong.push(format!("dead letter {id} of our own parts, on {subject}: {reason}: {error}: {payload}"));
    }
    Ok(foreign)
}

/// Tries to replay every letter that would end a session, as an operator. None of them is ours, so each must be
/// refused; the account that follows checks the effects.
///
/// # Errors
/// A replay was accepted.
pub(super) async fn refuse_forged(stack: &Stack) -> Result<()> {
    let forged =
        dead_letter::Entity::find().filter(dead_letter::Column::Subject.starts_with("streamspace.session.delete."));
    for letter in forged.all(&stack.database.reader).await? {
        let (status, answer) = stack.request(Method::POST, &format!("/admin/dlq/{}/replay", letter.id), None).await?;
        ensure!((400..500).contains(&status), "the replay of letter {} was answered {status}: {answer}", letter.id);
    }
    Ok(())
}
