//! What sessions wrote to their standard output and error, as the engine keeps it.

use std::collections::VecDeque;

use bollard::query_parameters::LogsOptionsBuilder;
use controllers::driver::user_error;
use futures::StreamExt as _;
use streams::wire::{Failure, LogEnd};
use uuid::Uuid;

use super::{
    Host,
    engine::{failed, status},
};

/// Lines that are asked for: more than the bytes that are ever answered hold of usual lines.
const LINES: &str = "20000";
/// The end of a log that goes into a failure.
const TAIL_LINES: usize = 8;
const TAIL_BYTES: usize = 4096;

impl Host {
    /// The last bytes of what a session wrote.
    pub(crate) async fn log_end(&self, session: Uuid, bytes: usize) -> Result<LogEnd, Failure> {
        let options = LogsOptionsBuilder::default().stdout(true).stderr(true).tail(LINES).build();
        let name = self.names.container(session);
        let mut lines = std::pin::pin!(self.api.logs(&name, Some(options)));
        let (mut end, mut all) = (VecDeque::<u8>::new(), 0_u64);
        while let Some(line) = lines.next().await {
            match line {
                Ok(line) => {
                    let line = line.into_bytes();
                    all += line.len() as u64;
                    end.extend(line.iter());
                    let over = end.len().saturating_sub(bytes);
                    end.drain(..over);
                }
                Err(error) if status(&error) == Some(404) => {
                    return Err(user_error("not_found", format!("container {name} on this host")));
                }
                Err(error) => return Err(failed("reads the log", &error)),
            }
        }
        let text = String::from_utf8_lossy(end.make_contiguous()).into_owned();
        Ok(LogEnd { text, kept_bytes: all })
    }

    /// The last lines that a session wrote, ready to be put behind a message.
    pub(crate) async fn tail(&self, session: Uuid) -> String {
        let text = self.log_end(session, TAIL_BYTES).await.map(|end| end.text).unwrap_or_default();
        let lines = text.lines().filter(|line| !line.trim().is_empty()).collect::<Vec<_>>();
        let last = lines.get(lines.len().saturating_sub(TAIL_LINES)..).unwrap_or_default();
        if last.is_empty() { "; it wrote nothing".into() } else { format!("; it wrote last: {}", last.join("\n")) }
    }
}
