//! What happens when the disk under nats-server was full: a stream that could not write once refuses everything until its server starts
//! again, also after room was made, and does not say so to those who publish.

use std::path::PathBuf;
use std::time::Duration;

/// Between two looks. A file system is not filled and emptied again in less by anything that goes on for long.
const EVERY: Duration = Duration::from_millis(250);
/// With less than this left, in bytes, a write may have failed: streams grow in blocks, and small disks have nothing to lose.
const NONE: u64 = 1 << 20;
/// With as much as this, in bytes, it is worth trying again.
const SOME: u64 = 4 << 20;

/// The room that is left where streams are stored.
#[derive(Debug)]
pub(super) struct Room {
    folder: PathBuf,
    was_full: bool,
}

impl Room {
    pub(super) const fn of(folder: PathBuf) -> Self {
        Self { folder, was_full: false }
    }

    /// Returns when there is room again after there was none. Safe to be dropped and called again.
    pub(super) async fn returned(&mut self) {
        loop {
            tokio::time::sleep(EVERY).await;
            if self.look(free(&self.folder)) {
                return;
            }
        }
    }

    /// Whether room has come back; what cannot be known changes nothing.
    fn look(&mut self, free: Option<u64>) -> bool {
        match free {
            Some(free) if free < NONE => {
                if !std::mem::replace(&mut self.was_full, true) {
                    tracing::error!(path = %self.folder.display(), "the disk is full; streams take nothing until there is room");
                }
                false
            }
            Some(free) if free >= SOME => std::mem::replace(&mut self.was_full, false),
            _ => false,
        }
    }
}

/// Bytes that may still be written there.
fn free(folder: &std::path::Path) -> Option<u64> {
    let stat = rustix::fs::statvfs(folder).ok()?;
    stat.f_bavail.checked_mul(stat.f_frsize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_returns_once_and_only_after_there_was_none() {
        let mut room = Room::of(PathBuf::new());
        let looks = [Some(SOME), Some(0), Some(SOME - 1), None, Some(SOME), Some(SOME)];
        assert_eq!(looks.map(|free| room.look(free)), [false, false, false, false, true, false]);
    }
}
