//! A small file system for one test: a tmpfs that is filled and freed by a file, and removed with the test.
//!
//! Mounting needs root, or sudo without a password. Without either the test fails with a message, unless
//! `STREAMSPACE_TEST_WITHOUT=small-disk` excludes such tests.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// Environment variable with the capabilities that tests do without, separated by commas.
pub const WITHOUT: &str = "STREAMSPACE_TEST_WITHOUT";

/// Why there is no small file system.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Mounting failed.
    #[error("a tmpfs is needed and {what} failed ({why}): run as root, or with {WITHOUT}=small-disk to leave this out")]
    Mount {
        /// The command.
        what: String,
        /// Its error.
        why: String,
    },
    /// No folder, or no file in it.
    #[error("the small file system cannot be used")]
    Io(#[from] io::Error),
}

/// A mounted tmpfs.
#[derive(Debug)]
pub struct SmallDisk {
    folder: TempDir,
}

impl SmallDisk {
    /// Mounts a tmpfs of so many megabytes, writable for every user; `None` if such tests are excluded.
    ///
    /// # Errors
    /// [`Error::Mount`] says what is missing.
    pub fn mount(megabytes: u32) -> Result<Option<Self>, Error> {
        if std::env::var(WITHOUT).is_ok_and(|names| names.split(',').any(|name| name.trim() == "small-disk")) {
            eprintln!("left out, as {WITHOUT} says: this test needs a small file system");
            return Ok(None);
        }
        let folder = tempfile::Builder::new().prefix("streamspace-disk-").tempdir()?;
        let options = format!("size={megabytes}m,mode=1777");
        let at = folder.path().display().to_string();
        as_root(&["mount", "-t", "tmpfs", "-o", &options, "streamspace-test", &at])?;
        Ok(Some(Self { folder }))
    }

    /// The mount point.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    fn filler(&self) -> PathBuf {
        self.path().join("filler")
    }

    /// Uses up all free space, to the last byte.
    ///
    /// # Errors
    /// Writing fails for another reason than a full disk.
    pub fn fill(&self) -> io::Result<()> {
        let mut file = std::fs::OpenOptions::new().append(true).create(true).open(self.filler())?;
        for size in [1 << 20, 4096, 1] {
            let block = vec![0x5a; size];
            loop {
                match file.write_all(&block) {
                    Ok(()) => {}
                    Err(error) if error.kind() == io::ErrorKind::StorageFull => break,
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }

    /// Frees the space again.
    ///
    /// # Errors
    /// The system's.
    pub fn free(&self) -> io::Result<()> {
        match std::fs::remove_file(self.filler()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            done => done,
        }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let at = self.path().display().to_string();
        if let Err(error) = as_root(&["umount", "--lazy", &at]) {
            eprintln!("{at} is still mounted: {error}");
        }
    }
}

fn as_root(command: &[&str]) -> Result<(), Error> {
    let sudo: &[&str] = if rustix::process::geteuid().is_root() { &[] } else { &["sudo", "-n"] };
    let words = [sudo, command].concat();
    let failed = |why: String| Error::Mount { what: words.join(" "), why };
    let output = Command::new(words[0]).args(&words[1..]).output().map_err(|error| failed(error.to_string()))?;
    if output.status.success() {
        Ok(())
    } else {
        Err(failed(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
    }
}
