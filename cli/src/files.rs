//! Files that are replaced whole, so that a reader finds the old one or the new one, also after a crash.

use std::fs::{File, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use streams::limits::FILE;

/// From now on nobody else may read what this process, and those that it starts, write: a process that keeps people's files
/// does not depend on the umask that it was started with.
pub(crate) fn private() {
    rustix::process::umask(rustix::fs::Mode::RWXG | rustix::fs::Mode::RWXO);
}

/// The text of a file that somebody wrote, or of standard input for `-`.
///
/// # Errors
/// It cannot be read, is not UTF-8, or is larger than anything that is meant to be read so.
pub(crate) fn text(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    let most = FILE as u64 + 1;
    if path.as_os_str() == "-" {
        io::stdin().lock().take(most).read_to_string(&mut text)?;
    } else {
        File::open(path)?.take(most).read_to_string(&mut text)?;
    }
    if text.len() > FILE {
        return Err(io::Error::other(format!("has more than {FILE} bytes")));
    }
    Ok(text)
}

/// Replaces a file. Only its owner can read it: what this crate keeps is secrets, and notes of people.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut fresh = tempfile::NamedTempFile::new_in(folder)?;
    fresh.as_file().set_permissions(Permissions::from_mode(0o600))?;
    fresh.write_all(bytes)?;
    fresh.as_file().sync_all()?;
    fresh.persist(path)?;
    File::open(folder)?.sync_all()
}
