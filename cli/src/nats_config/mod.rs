//! `streamspace nats-config`: the configuration of a nats-server on which each role has its own key and the least rights.

mod keys;

use std::path::PathBuf;

use clap::Subcommand;
use streams::ids::{ControllerId, Platform};

use crate::failure::Failure;
use crate::files;
use crate::output;
use keys::Server;
pub(crate) use keys::{Holder, Keys};

/// Default of `--max-file-store`: the streams' default limits are 640 MiB, and JetStream reserves them.
const MAX_FILE_STORE: u64 = 2 << 30;

/// Arguments of `streamspace nats-config`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Folder with users, seeds and the server's configuration
    #[arg(long, value_name = "DIR", default_value = "./nats", global = true)]
    dir: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make the folder, with a key for the engines and a configuration for nats-server.
    Init(Init),
    /// Add a controller: its seed file, and its rights.
    Add(Name),
    /// Give the engines or a controller a new key; the old one stays good until it is retired.
    Rotate(Who),
    /// End the old key of the engines or of a controller.
    Retire(Who),
    /// End every key of a controller.
    Revoke(Name),
    /// List all users with their public keys.
    List,
}

#[derive(Debug, clap::Args)]
struct Init {
    /// Address and port of nats-server
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:4222")]
    listen: String,
    /// Folder of JetStream's store
    #[arg(long, value_name = "DIR", default_value = "/var/lib/nats")]
    store_dir: PathBuf,
    /// Maximum bytes of all streams [default: 2147483648]
    #[arg(long, value_name = "BYTES")]
    max_file_store: Option<u64>,
    /// When JetStream calls fsync: always, or a time such as 10s [default: the server's, 2m]
    #[arg(long, value_name = "TIME")]
    sync_interval: Option<String>,
    /// Certificate of the server, with its chain, as PEM
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// Key of that certificate
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Authorities of client certificates; with them, each client needs one
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_client_ca: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
struct Name {
    /// Platform of the controller
    #[arg(long, value_name = "PLATFORM")]
    platform: Platform,
    /// ID of the controller
    #[arg(long, value_name = "ID")]
    id: ControllerId,
}

#[derive(Debug, clap::Args)]
struct Who {
    /// The engines
    #[arg(long, conflicts_with_all = ["platform", "id"], required_unless_present = "id")]
    engine: bool,
    /// Platform of the controller
    #[arg(long, value_name = "PLATFORM", requires = "id")]
    platform: Option<Platform>,
    /// ID of the controller
    #[arg(long, value_name = "ID", requires = "platform")]
    id: Option<ControllerId>,
}

impl From<Who> for Holder {
    fn from(who: Who) -> Self {
        match (who.platform, who.id) {
            (Some(platform), Some(id)) => Self::Controller(platform, id),
            _ => Self::Engine,
        }
    }
}

/// Runs a subcommand.
pub(crate) fn run(args: Args) -> Result<(), Failure> {
    files::private();
    let dir = args.dir;
    match args.command {
        Command::Init(init) => {
            let keys = Keys::create(&dir, Some(init.into()), false)?;
            output::line(format!("{}\n{}", keys.conf().display(), keys.seed_file(&Holder::Engine).display()));
            output::note(format!("start nats-server with `nats-server -c {}`", keys.conf().display()));
        }
        Command::Add(name) => {
            let mut keys = Keys::open(&dir)?;
            let added = keys.add(&name.platform, &name.id)?;
            output::line(keys.seed_file(&Holder::Controller(name.platform, name.id)).display().to_string());
            if added { reload() } else { output::note("it exists; `nats-config rotate` gives it another key") }
        }
        Command::Rotate(who) => {
            let (mut keys, holder) = (Keys::open(&dir)?, Holder::from(who));
            keys.rotate(&holder)?;
            output::line(keys.seed_file(&holder).display().to_string());
            reload();
            output::note("once it uses the new seed, end the old key with `nats-config retire`");
        }
        Command::Retire(who) => {
            let holder = Holder::from(who);
            let old = Keys::open(&dir)?.retire(&holder)?;
            output::line(format!("{holder}: {old} old key{} ended", if old == 1 { "" } else { "s" }));
            reload();
        }
        Command::Revoke(name) => {
            Keys::open(&dir)?.revoke(&name.platform, &name.id)?;
            reload();
            output::note("`streamspace controller revoke` moves its sessions");
        }
        Command::List => {
            for (holder, all) in Keys::open(&dir)?.holders() {
                output::line(format!("{holder}  {}", all.join(" ")));
            }
        }
    }
    Ok(())
}

impl From<Init> for Server {
    fn from(init: Init) -> Self {
        Self {
            listen: init.listen,
            store_dir: init.store_dir,
            sync_interval: init.sync_interval,
            max_file_store: init.max_file_store.unwrap_or(MAX_FILE_STORE),
            tls_cert: init.tls_cert,
            tls_key: init.tls_key,
            tls_client_ca: init.tls_client_ca,
        }
    }
}

fn reload() {
    output::note("apply it with `nats-server --signal reload`, which interrupts only clients whose key has ended");
}
