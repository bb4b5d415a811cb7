//! The configuration file of a private nats-server. It contains a password, so only its owner may read it.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;

use super::ServerOptions;

pub(super) const FILE: &str = "nats-server.conf";

/// Writes the file beside the store, and returns its path.
pub(super) fn write(options: &ServerOptions, port: u16) -> io::Result<PathBuf> {
    fs::create_dir_all(&options.store_dir)?;
    let (path, new) = (options.store_dir.join(FILE), options.store_dir.join(format!("{FILE}.new")));
    let _ = fs::remove_file(&new); // left by a process that was killed while writing
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
    file.write_all(text(options, port).as_bytes())?;
    fs::rename(&new, &path)?;
    Ok(path)
}

/// Quotes a text for the configuration language of nats-server. Unquoted, `12345` is a number, `$x` a variable
/// and `a b` two words, and its escapes are not those of JSON, so every byte other than a letter is escaped
/// numerically.
fn quoted(text: &str) -> String {
    use std::fmt::Write as _;
    let mut quoted = String::from('"');
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"/._-".contains(&byte) {
            quoted.push(char::from(byte));
        } else {
            let _ = write!(quoted, "\\x{byte:02x}"); // writing to a String cannot fail
        }
    }
    quoted.push('"');
    quoted
}

fn text(options: &ServerOptions, port: u16) -> String {
    let store = options.store_dir.to_string_lossy();
    let sync = options.sync_interval.as_ref().map(|s| format!("  sync_interval: {}\n", quoted(s))).unwrap_or_default();
    let log = options.log_file.as_ref().map(|path| format!("log_file: {}\n", quoted(&path.to_string_lossy())));
    format!(
        "listen: \"127.0.0.1:{port}\"\n\
         server_name: \"streamspace\"\n\
         {}\
         jetstream {{\n  store_dir: {}\n{sync}}}\n\
         authorization {{\n  user: {}\n  password: {}\n}}\n",
        log.unwrap_or_default(),
        quoted(&store),
        quoted(&options.user),
        quoted(options.password.expose()),
    )
}
