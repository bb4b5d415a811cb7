//! Files that are replaced atomically, so that readers find the old or the new content even after a crash.

use std::fs::{File, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use streams::limits::FILE;

/// From now on, files that this process and its children create are private. Users' files must not depend on
/// the umask that the process was started with.
pub(crate) fn private() {
    rustix::process::umask(rustix::fs::Mode::RWXG | rustix::fs::Mode::RWXO);
}

/// The text of a user's file, or of standard input for `-`.
///
/// # Errors
/// It cannot be read, is not UTF-8, or exceeds the size limit.
pub(crate) fn text(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    let most = FILE as u64 + 1;
    if path.as_os_str() == "-" {
        io::stdin().lock().take(most).read_to_string(&mut text)?;
    } else {
        File::open(path)?.take(most).read_to_string(&mut text)?;
    }
    if text.len() > FILE {
        return Err(io::Error::other(format!("is larger than {FILE} bytes")));
    }
    Ok(text)
}

/// Replaces a file. Only its owner can read it, because this crate stores secrets and users' notes.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut fresh = tempfile::NamedTempFile::new_in(folder)?;
    fresh.as_file().set_permissions(Permissions::from_mode(0o600))?;
    fresh.write_all(bytes)?;
    fresh.as_file().sync_all()?;
    fresh.persist(path)?;
    File::open(folder)?.sync_all()
}
