//! The archive: what left a table, a row a line, as JSON.
//!
//! Each run of an engine has a file of its own for each table and day, so that nobody writes behind what another left unfinished: the last
//! line of a file may be torn by a crash, and no other. A row whose line is there and which a crash kept in the log is written
//! once more when it goes: the same `id` is the same row.

use std::path::{Path, PathBuf};

use serde::Serialize;
use tokio::fs::{File, OpenOptions, create_dir_all, try_exists};
use tokio::io::AsyncWriteExt;
use uuid::Uuid;

use super::Error;

#[derive(Debug)]
pub(super) struct Archive {
    folder: PathBuf,
    run: Uuid,
}

impl Archive {
    pub(super) fn new(folder: PathBuf) -> Self {
        Self { folder, run: Uuid::now_v7() }
    }

    /// Writes rows of a table; they are on disk when it answers.
    pub(super) async fn append(
        &mut self,
        now_ms: i64,
        table: &str,
        rows: impl Iterator<Item = impl Serialize>,
    ) -> Result<(), Error> {
        let mut lines = Vec::new();
        let failed = |folder: &Path, error: std::io::Error| Error::Archive(folder.to_owned(), error);
        for row in rows {
            serde_json::to_writer(&mut lines, &row).map_err(|error| failed(&self.folder, error.into()))?;
            lines.push(b'\n');
        }
        let day = chrono::DateTime::from_timestamp_millis(now_ms).unwrap_or_default().format("%Y-%m-%d");
        let file = self.folder.join(format!("{table}-{day}-{}.ndjson", self.run.simple()));
        if let Err(error) = durably(&self.folder, &file, &lines).await {
            self.run = Uuid::now_v7(); // the file may end in half a line
            return Err(failed(&self.folder, error));
        }
        Ok(())
    }
}

async fn durably(folder: &Path, path: &Path, lines: &[u8]) -> std::io::Result<()> {
    let new = !try_exists(path).await?;
    if new {
        create_dir_all(folder).await?;
    }
    let mut file = OpenOptions::new().create(true).append(true).mode(0o600).open(path).await?;
    file.write_all(lines).await?;
    file.sync_all().await?;
    if new {
        File::open(folder).await?.sync_all().await?; // the file's name, too
    }
    Ok(())
}
