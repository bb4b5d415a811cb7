//! The configuration file of nats-server: of a private one, and of one that an operator runs.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::ServerOptions;
use crate::connect::Secret;
use crate::permissions::{Permissions, Role};

pub(super) const FILE: &str = "nats-server.conf";

/// How a client proves who it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Login {
    /// User and password.
    Password(String, Secret),
    /// The public key of an NKey.
    Nkey(String),
}

/// A client that may log in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// How it logs in.
    pub login: Login,
    /// What it may do; `None` is everything.
    pub role: Option<Role>,
}

/// Certificates of the server. Paths are the server's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// The server's certificate, with its chain.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
    /// Authorities of client certificates. With them, a client needs one of theirs to connect at all.
    pub clients: Option<PathBuf>,
}

/// What the configuration says.
#[derive(Debug, Clone)]
pub struct Config {
    /// Address and port.
    pub listen: String,
    /// Folder of JetStream's store.
    pub store_dir: PathBuf,
    /// `always`, or a duration such as `10s`; `None` leaves it at the server's default (2 minutes).
    pub sync_interval: Option<String>,
    /// Maximum bytes of all streams; `None` leaves it to the server.
    pub max_file_store: Option<u64>,
    /// Log file; without one, the server logs to stderr.
    pub log_file: Option<PathBuf>,
    /// Certificates.
    pub tls: Option<Tls>,
    /// Clients.
    pub users: Vec<User>,
}

/// Writes the file of a private server beside its store, and returns its path. It contains a password, so only its
/// owner may read it.
pub(super) fn write(options: &ServerOptions, port: u16) -> io::Result<PathBuf> {
    fs::create_dir_all(&options.store_dir)?;
    let (path, new) = (options.store_dir.join(FILE), options.store_dir.join(format!("{FILE}.new")));
    let _ = fs::remove_file(&new); // left by a process that was killed while writing
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
    let own =
        User { login: Login::Password(options.user.clone(), options.password.clone()), role: options.role.clone() };
    let config = Config {
        listen: format!("127.0.0.1:{port}"),
        store_dir: options.store_dir.clone(),
        sync_interval: options.sync_interval.clone(),
        max_file_store: None,
        log_file: options.log_file.clone(),
        tls: None,
        users: std::iter::once(own).chain(options.users.iter().cloned()).collect(),
    };
    file.write_all(text(&config).as_bytes())?;
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
        if byte.is_ascii_alphanumeric() || b"/._-:*>".contains(&byte) {
            quoted.push(char::from(byte));
        } else {
            let _ = write!(quoted, "\\x{byte:02x}"); // writing to a String cannot fail
        }
    }
    quoted.push('"');
    quoted
}

fn path(path: &Path) -> String {
    quoted(&path.to_string_lossy())
}

/// The text of a configuration file.
#[must_use]
pub fn text(config: &Config) -> String {
    let mut lines = vec![format!("listen: {}", quoted(&config.listen)), "server_name: \"streamspace\"".into()];
    lines.extend(config.log_file.as_ref().map(|file| format!("log_file: {}", path(file))));
    let mut jetstream = vec![format!("  store_dir: {}", path(&config.store_dir))];
    jetstream.extend(config.sync_interval.as_ref().map(|interval| format!("  sync_interval: {}", quoted(interval))));
    if let Some(bytes) = config.max_file_store {
        // all streams are files; memory is for what the server itself keeps of consumers
        jetstream.push(format!("  max_file_store: {bytes}\n  max_memory_store: {MEMORY}"));
    }
    lines.push(format!("jetstream {{\n{}\n}}", jetstream.join("\n")));
    lines.extend(config.tls.as_ref().map(tls));
    let users = config.users.iter().map(user).collect::<Vec<_>>().join("\n");
    lines.push(format!("authorization {{\n  users: [\n{users}\n  ]\n}}\n"));
    lines.join("\n")
}

/// Bytes of memory for JetStream.
const MEMORY: u64 = 64 << 20;

fn tls(tls: &Tls) -> String {
    let verify = match &tls.clients {
        Some(authorities) => format!("\n  ca_file: {}\n  verify: true", path(authorities)),
        None => String::new(),
    };
    format!("tls {{\n  cert_file: {}\n  key_file: {}{verify}\n}}", path(&tls.certificate), path(&tls.key))
}

fn user(user: &User) -> String {
    let login = match &user.login {
        Login::Password(name, password) => {
            format!("user: {}\n      password: {}", quoted(name), quoted(password.expose()))
        }
        Login::Nkey(public) => format!("nkey: {}", quoted(public)),
    };
    let permissions = user.role.as_ref().map(|role| permissions(&role.permissions())).unwrap_or_default();
    format!("    {{\n      {login}\n{permissions}    }}")
}

fn permissions(permissions: &Permissions) -> String {
    let list = |subjects: &[String]| subjects.iter().map(|subject| quoted(subject)).collect::<Vec<_>>().join(", ");
    let Permissions { publish, subscribe, not_subscribe, responds } = permissions;
    let deny = if not_subscribe.is_empty() { String::new() } else { format!(", deny: [{}]", list(not_subscribe)) };
    // questions to controllers are answered within 30 s
    let responds = if *responds { "        allow_responses { max: 1, ttl: \"1m\" }\n" } else { "" };
    format!(
        "      permissions {{\n        publish {{ allow: [{}] }}\n        subscribe {{ allow: [{}]{deny} }}\n{responds}      }}\n",
        list(publish),
        list(subscribe)
    )
}
