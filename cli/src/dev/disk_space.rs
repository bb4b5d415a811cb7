//! Detects that nats-server's disk was full: after a failed write a stream refuses everything until the server
//! is restarted, even when there is space again, and does not answer publishers.

use std::path::PathBuf;
use std::time::Duration;

/// Interval between two checks. A disk does not fill up and empty again in less, except briefly.
const EVERY: Duration = Duration::from_millis(250);
/// With less free space than this, in bytes, a write may have failed, because streams grow in blocks.
const NONE: u64 = 1 << 20;
/// With this much free space, in bytes, a restart is worthwhile.
const SOME: u64 = 4 << 20;

/// Watches the free space of the streams' file system.
#[derive(Debug)]
pub(super) struct DiskSpace {
    folder: PathBuf,
    was_full: bool,
}

impl DiskSpace {
    pub(super) const fn of(folder: PathBuf) -> Self {
        Self { folder, was_full: false }
    }

    /// Returns once there is space again after there was none. Cancel-safe.
    pub(super) async fn returned(&mut self) {
        loop {
            tokio::time::sleep(EVERY).await;
            if self.look(free(&self.folder)) {
                return;
            }
        }
    }

    /// Whether space has come back; a failed check changes nothing.
    fn look(&mut self, free: Option<u64>) -> bool {
        match free {
            Some(free) if free < NONE => {
                if !std::mem::replace(&mut self.was_full, true) {
                    tracing::error!(path = %self.folder.display(), "the disk is full; streams refuse everything until there is space");
                }
                false
            }
            Some(free) if free >= SOME => std::mem::replace(&mut self.was_full, false),
            _ => false,
        }
    }
}

/// Free space in bytes.
fn free(folder: &std::path::Path) -> Option<u64> {
    let stat = rustix::fs::statvfs(folder).ok()?;
    stat.f_bavail.checked_mul(stat.f_frsize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn space_returns_once_and_only_after_there_was_none() {
        let mut space = DiskSpace::of(PathBuf::new());
        let looks = [Some(SOME), Some(0), Some(SOME - 1), None, Some(SOME), Some(SOME)];
        assert_eq!(looks.map(|free| space.look(free)), [false, false, false, false, true, false]);
    }
}
