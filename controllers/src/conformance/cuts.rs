//! Calls that are dropped before they are done.

use std::task::Poll;

use super::{Platform, Subject, same};
use crate::driver::{Driver, Goal};

pub(super) async fn abandoned_call(platform: &dyn Platform) -> Result<(), String> {
    let (driver, subject) = (platform.open().await, Subject::new(platform));
    let desired = subject.desired(Goal::Running, 1);
    let abandoned = driver.ensure(&desired);
    let gave_up = tokio::time::timeout(std::time::Duration::from_millis(5), abandoned).await;
    drop(gave_up); // done in time or not: the next call makes it right
    subject.reach(&*driver, Goal::Running, 1).await?;
    let (once, listed) = (platform.traces(subject.id).await, subject.listed(&*driver).await?);
    same(&listed.len(), &1, "its entries in the list")?;
    subject.reach(&*driver, Goal::Running, 1).await?;
    same(&platform.traces(subject.id).await, &once, "what exists")?;
    subject.delete(&*driver).await
}

/// As a newer command does to a start, and a forced delete to everything.
pub(super) async fn cut_anywhere(platform: &dyn Platform) -> Result<(), String> {
    const GOALS: [Goal; 3] = [Goal::Running, Goal::Hibernated, Goal::Deleted];
    let driver = platform.open().await;
    for cut in GOALS {
        let driver = &*driver;
        let all = GOALS.map(|then| async move {
            let mut at = 1;
            while cut_and_go_on(platform, driver, cut, then, at).await.map_err(|why| {
                format!("{cut:?} was cut at its await number {at}, and then {then:?} was asked for: {why}")
            })? {
                at += at.div_ceil(4); // the later ones are mostly one and the same, waited at again
            }
            Ok::<_, String>(())
        });
        futures::future::try_join_all(all).await?;
    }
    Ok(())
}

/// False where the call was done before it could be cut.
async fn cut_and_go_on(
    platform: &dyn Platform,
    driver: &dyn Driver,
    cut: Goal,
    then: Goal,
    at: usize,
) -> Result<bool, String> {
    let subject = Subject::new(platform);
    if cut != Goal::Running {
        subject.reach(driver, Goal::Running, 1).await?;
    }
    let was_cut = cut_at(driver.ensure(&subject.desired(cut, 2)), at).await;
    let first = subject.reach(driver, then, 3).await?;
    let traces = platform.traces(subject.id).await;
    let second = subject.reach(driver, then, 3).await?;
    same(&(second.url, second.resource_name), &(first.url, first.resource_name), "what runs it")?;
    same(&platform.traces(subject.id).await, &traces, "what exists")?;
    same(&subject.listed(driver).await?.len(), &usize::from(then != Goal::Deleted), "its entries in the list")?;
    subject.delete(driver).await?;
    same(&platform.traces(subject.id).await, &Vec::new(), "what exists after its deletion")?;
    Ok(was_cut)
}

/// Drops something when it waits for the time with this number; says whether it came to that.
async fn cut_at<T>(work: impl Future<Output = T>, at: usize) -> bool {
    let (mut work, mut waits) = (std::pin::pin!(work), 0);
    std::future::poll_fn(|context| match work.as_mut().poll(context) {
        Poll::Ready(_) => Poll::Ready(false),
        Poll::Pending => {
            waits += 1;
            if waits == at { Poll::Ready(true) } else { Poll::Pending }
        }
    })
    .await
}
