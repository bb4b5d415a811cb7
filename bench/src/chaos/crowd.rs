//! Full streams: of commands that no one reads, or of unreadable reports.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use streams::metrics::Metrics;
use streams::publisher::{self, Outgoing, Publisher};
use streams::topology::SS_COMMANDS;
use tokio::time::sleep;

use super::fleet::{Fleet, READY};

/// The beginning of an unreadable report.
pub(super) const POISON: &str = "no JSON, ";

impl Fleet {
    /// Sends unreadable reports, each until it is stored.
    pub(super) async fn poison(&self, count: usize) -> Result<()> {
        let link = self.stack.lock().await.nats.link().await?;
        let publisher = Publisher::new(link, Metrics::default());
        let mut refused = 0;
        for n in 0..count {
            let report = Outgoing {
                subject: "streamspace.session.status".into(),
                message_id: format!("poison-{n}"),
                payload: format!("{POISON}{n}").into(),
                ..Outgoing::default()
            };
            self.strangers.note(&report.subject, &report.payload).await;
            let begun = Instant::now();
            while let Err(error) = publisher.publish(report.clone()).await {
                ensure!(begun.elapsed() < READY, "report {n} was not stored within {READY:?}: {error}");
                refused += usize::from(matches!(error, publisher::Error::Full(_)));
                sleep(Duration::from_millis(100)).await;
            }
        }
        ensure!(refused > 0, "the streams were never full, so nothing was proved");
        Ok(())
    }

    /// Keeps the command stream full for so long, then removes what it put there.
    pub(super) async fn crowd(&self, long: Duration) -> Result<()> {
        const NOBODY: &str = "streamspace.session.create.nowhere.nobody";
        let link = self.stack.lock().await.nats.link().await?;
        let publisher = Publisher::new(link.clone(), Metrics::default());
        let (begun, mut refused) = (Instant::now(), 0);
        while begun.elapsed() < long {
            let stored = publisher.publish(Outgoing { subject: NOBODY.into(), ..Outgoing::default() }).await;
            if matches!(stored, Err(publisher::Error::Full(_))) {
                refused += 1;
                sleep(Duration::from_millis(20)).await;
            }
        }
        ensure!(refused > 0, "the stream of commands was never full, so nothing was proved");
        link.jetstream.get_stream(SS_COMMANDS).await?.purge().filter(NOBODY).await?;
        Ok(())
    }
}
