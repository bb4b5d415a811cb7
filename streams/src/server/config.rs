//! The configuration file of a private nats-server. It holds a password, so nobody else may read it.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;

use super::ServerOptions;

pub(super) const FILE: &str = "nats-server.conf";

/// Writes the file beside the store; where it is.
pub(super) fn write(options: &ServerOptions, port: u16) -> io::Result<PathBuf> {
    fs::create_dir_all(&options.store_dir)?;
    let (path, new) = (options.store_dir.join(FILE), options.store_dir.join(format!("{FILE}.new")));
    let _ = fs::remove_file(&new); // left by a process that was killed while it wrote
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
    file.write_all(text(options, port).as_bytes())?;
    fs::rename(&new, &path)?;
    Ok(path)
}

/// The server reads JSON strings as its own.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
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
