//! Which processes the next start ends, and which it never touches.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, ensure};
use cli::children::{Ledger, alive};
use tempfile::tempdir;

use crate::program::Running;

const GRACE: Duration = Duration::from_secs(5);

fn sleeper() -> anyhow::Result<Running> {
    Ok(Running(Command::new("sleep").arg("600").spawn()?))
}

#[tokio::test]
async fn the_next_start_ends_what_a_killed_one_left_behind() -> anyhow::Result<()> {
    let folder = tempdir()?;
    let (path, mut left) = (folder.path().join("children.json"), sleeper()?);
    let noted = Ledger::open(&path)?.note("controller", left.0.id() as i32)?;
    let next = Ledger::open(&path)?;
    ensure!(next.children() == [noted.clone()] && alive(&noted));
    ensure!(next.end_leftovers(GRACE).await? == std::slice::from_ref(&noted));
    ensure!(!alive(&noted) && next.children().is_empty() && Ledger::open(&path)?.children().is_empty());
    left.0.wait()?;
    Ok(())
}

#[tokio::test]
async fn a_process_that_ignores_the_question_is_ended_all_the_same() -> anyhow::Result<()> {
    let folder = tempdir()?;
    let deaf = Running(Command::new("sh").args(["-c", "trap '' TERM; while :; do sleep 600 & wait; done"]).spawn()?);
    let ledger = Ledger::open(folder.path().join("children.json"))?;
    let noted = ledger.note("controller", deaf.0.id() as i32)?;
    ledger.end_leftovers(Duration::from_millis(200)).await?;
    ensure!(!alive(&noted));
    Ok(())
}

#[tokio::test]
async fn another_process_with_the_same_number_is_left_alone() -> anyhow::Result<()> {
    let folder = tempdir()?;
    let (path, mut stranger) = (folder.path().join("children.json"), sleeper()?);
    Ledger::open(&path)?.note("controller", stranger.0.id() as i32)?;
    let mut book: serde_json::Value = serde_json::from_slice(&std::fs::read(&path)?)?;
    let started = book["children"][0]["started"].as_u64().context("a start time")?;
    book["children"][0]["started"] = (started - 1).into();
    std::fs::write(&path, book.to_string())?;
    let next = Ledger::open(&path)?;
    ensure!(next.end_leftovers(GRACE).await?.is_empty() && next.children().is_empty());
    ensure!(stranger.0.try_wait()?.is_none(), "it was ended");
    Ok(())
}

#[tokio::test]
async fn nobody_of_an_earlier_boot_is_ended() -> anyhow::Result<()> {
    let folder = tempdir()?;
    let (path, mut stranger) = (folder.path().join("children.json"), sleeper()?);
    Ledger::open(&path)?.note("controller", stranger.0.id() as i32)?;
    let mut book: serde_json::Value = serde_json::from_slice(&std::fs::read(&path)?)?;
    book["boot"] = "another".into();
    std::fs::write(&path, book.to_string())?;
    ensure!(Ledger::open(&path)?.end_leftovers(GRACE).await?.is_empty());
    ensure!(stranger.0.try_wait()?.is_none(), "it was ended");
    Ok(())
}

#[test]
fn a_process_that_is_gone_cannot_be_written_down() -> anyhow::Result<()> {
    let folder = tempdir()?;
    let mut gone = Command::new("true").spawn()?;
    gone.wait()?;
    let ledger = Ledger::open(folder.path().join("children.json"))?;
    ensure!(ledger.note("controller", gone.id() as i32).is_err() && ledger.children().is_empty());
    Ok(())
}
