//! The next step of a job that compares the log with the tables: one page is read and compared here, what was seen is written.
//!
//! It rests after a page for as long as the page took, so that it never has more than half of a core.

use std::time::{Duration, Instant};

use serde::Deserialize;
use streams::crash::{Moment, point};

use super::{Error, LogScan, Moved, Runner};
use crate::store::job;
use crate::verify::{self, Scan};
use crate::writer::{JobWrite, ScanStep};

/// Rows of a page whose findings are repaired: their entities are locked together.
const REPAIRED: usize = 500;
/// The longest rest.
const REST: Duration = Duration::from_secs(1);

impl Runner {
    pub(super) async fn scan(&self, job: &job::Model, scan: Scan) -> Result<Moved, Error> {
        let LogScan { repair } = LogScan::deserialize(&job.filter).map_err(|_| Error::Unknown(job.job_id))?;
        let begun = Instant::now();
        point("job.step", Moment::Before);
        let page = match &scan.at {
            Some(at) => {
                let size = if repair { REPAIRED } else { verify::PAGE };
                verify::page(&self.parts.database.reader, at, size).await?
            }
            None => verify::Page { report: verify::Report::default(), next: None },
        };
        let (id, runner) = (job.job_id, self.me);
        let step = ScanStep { id, runner, from: scan.at, to: page.next, report: page.report, repair };
        match self.written(JobWrite::Scanned(Box::new(step))).await? {
            Moved::On => Ok(Moved::Wait(begun.elapsed().min(REST).as_millis() as i64)),
            wait @ Moved::Wait(_) => Ok(wait),
        }
    }
}
