//! `streamspace nats-config`: what it writes is enough for an engine and its controllers, and not enough for an attacker who
//! has the key of a controller. The server is a real one, started from the written file.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, ensure};
use rustix::process::Signal;
use serde_json::Value;
use streams::async_nats::{self, ConnectOptions, Event};
use streams::connect::{self, Link};
use streams::ids::{ControllerId, Platform};
use streams::metrics::Metrics;
use streams::permissions::Role;
use streams::publisher::{Outgoing, Publisher};
use streams::subject::{self, Verb};
use streams::topology::{self, SS_COMMANDS};
use tempfile::{TempDir, tempdir};

use crate::program::{Running, Said, clean, program, run, until};

const TOKEN: &str = "a-token-of-an-administrator";
/// Within this time a local server has answered.
const SOON: Duration = Duration::from_secs(2);

/// A folder of `nats-config` with a server that runs on it; controllers `a` and `b` of the platform `noop`.
struct Bus {
    folder: TempDir,
    binary: PathBuf,
    url: String,
    server: Option<Running>,
}

impl Bus {
    async fn start(init: &[&str]) -> anyhow::Result<Self> {
        let (folder, binary) = (tempdir()?, streams::server::find(None).await?.path);
        let address = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
        let mut bus = Self { folder, binary, url: format!("nats://{address}"), server: None };
        bus.config(&[&["init", "--listen", &address, "--store-dir", "store"], init].concat())?;
        for id in ["a", "b"] {
            bus.config(&["add", "--platform", "noop", "--id", id])?;
        }
        bus.up()?;
        Ok(bus)
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn config(&self, arguments: &[&str]) -> anyhow::Result<Said> {
        run(self.path(), &[&["nats-config"], arguments].concat())?.done()
    }

    fn up(&mut self) -> anyhow::Result<()> {
        let log = std::fs::File::options().create(true).append(true).open(self.path().join("nats.log"))?;
        let mut server = clean(Command::new(&self.binary), self.path());
        server.args(["-c", "nats/nats-server.conf"]).stdout(Stdio::null()).stderr(log);
        self.server = Some(Running(server.spawn()?));
        let address = self.url.trim_start_matches("nats://").to_owned();
        until("nats-server listens", || Ok(std::net::TcpStream::connect(&address).is_ok()))
    }

    fn log(&self) -> anyhow::Result<String> {
        Ok(std::fs::read_to_string(self.path().join("nats.log"))?)
    }

    /// Has the server read its configuration again.
    fn reload(&self) -> anyhow::Result<()> {
        let before = self.log()?.matches("Reloaded server configuration").count();
        self.server.as_ref().context("it runs")?.signal(Signal::HUP)?;
        until("it is reloaded", || Ok(self.log()?.matches("Reloaded server configuration").count() > before))
    }

    fn seed(&self, name: &str) -> PathBuf {
        self.path().join("nats").join(name)
    }

    fn connection(&self, role: &Role, seed: &str) -> connect::Config {
        let config = connect::Config::new(&self.url, "test");
        connect::Config { nkey_file: Some(self.seed(seed)), inbox: role.inbox(), ..config }
    }

    async fn engine(&self) -> anyhow::Result<Link> {
        Ok(connect::connect(&self.connection(&Role::Engine, "engine.nk")).await?)
    }

    /// A part of the stack, logged in with a seed.
    fn part(&self, arguments: &[&str], seed: &str) -> anyhow::Result<Running> {
        let mut command = program(self.path(), arguments);
        let log = std::fs::File::options().create(true).append(true).open(self.path().join("parts.log"))?;
        command.env("NATS_URL", &self.url).env("NATS_NKEY_FILE", self.seed(seed)).stderr(log).stdout(Stdio::null());
        command.env("STREAMSPACE_ADMIN_TOKEN", TOKEN).env("DATABASE_URL", "sqlite://db?mode=rwc");
        Ok(Running(command.env("HEARTBEAT_INTERVAL", "1s").spawn()?))
    }

    fn controller(&self, id: &str) -> anyhow::Result<Running> {
        let state = format!("state-{id}");
        let arguments = ["controller", "--platform", "noop", "--controller-id", id, "--state-dir", &state];
        self.part(&arguments, &format!("controller_noop_{id}.nk"))
    }
}

/// Any client with the key of controller `a`, and the errors that the server sends it.
struct Attacker {
    client: async_nats::Client,
    errors: Arc<Mutex<Vec<String>>>,
}

impl Attacker {
    async fn of(bus: &Bus) -> anyhow::Result<Self> {
        let errors = Arc::new(Mutex::new(Vec::new()));
        let kept = errors.clone();
        let seed = std::fs::read_to_string(bus.seed("controller_noop_a.nk"))?;
        let options = ConnectOptions::with_nkey(seed.trim().to_owned()).custom_inbox_prefix("_INBOX.controller.noop.a");
        let options = options.event_callback(move |event| {
            if let Event::ServerError(error) = event {
                kept.lock().unwrap_or_else(PoisonError::into_inner).push(error.to_string().to_lowercase());
            }
            std::future::ready(())
        });
        Ok(Self { client: options.connect(&bus.url).await?, errors })
    }

    async fn is_denied(&self, kind: &str, subject: &str) -> anyhow::Result<()> {
        let words = format!("permissions violation for {kind} to \"{subject}\"").to_lowercase();
        self.client.flush().await?;
        let said = || self.errors.lock().unwrap_or_else(PoisonError::into_inner).iter().any(|e| e.contains(&words));
        let deadline = tokio::time::Instant::now() + SOON;
        while !said() {
            let all = self.errors.lock().unwrap_or_else(PoisonError::into_inner).clone();
            ensure!(tokio::time::Instant::now() < deadline, "{kind} to {subject} is allowed: {all:?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    }

    async fn cannot_publish(&self, subject: &str) -> anyhow::Result<()> {
        self.client.publish(subject.to_owned(), "{}".into()).await?;
        self.is_denied("publish", subject).await
    }

    async fn cannot_hear(&self, subject: &str) -> anyhow::Result<()> {
        let _heard = self.client.subscribe(subject.to_owned()).await?;
        self.is_denied("subscription", subject).await
    }
}

fn noop(id: &str) -> (Platform, ControllerId) {
    (Platform::try_new("noop").unwrap(), ControllerId::try_new(id).unwrap())
}

/// Streams, consumers of both controllers, and a command for each.
async fn declared(bus: &Bus) -> anyhow::Result<Link> {
    let link = bus.engine().await?;
    topology::declare(&link.jetstream, &topology::Settings::default(), 1).await?;
    topology::declare_engine_consumers(&link.jetstream).await?;
    let publisher = Publisher::new(link.clone(), Metrics::default());
    for id in ["a", "b"] {
        let (platform, id) = noop(id);
        topology::declare_controller_consumer(&link.jetstream, &platform, &id).await?;
        let subject = subject::command(Verb::SessionCreate, &platform, &id);
        publisher.publish(Outgoing { subject, payload: "a command".into(), ..Outgoing::default() }).await?;
    }
    Ok(link)
}

/// Subjects on which a controller must not publish.
const NOT_PUBLISHED: [&str; 45] = [
    // commands, its own included
    "streamspace.session.create.noop.b",
    "streamspace.session.delete.noop.b",
    "streamspace.session.create.noop.a",
    "streamspace.session.create.noop",
    "streamspace.session.create",
    "streamspace.node.drain.noop.b",
    // what others say
    "streamspace.session.status.noop.b",
    "streamspace.session.status.docker.a",
    "streamspace.session.status",
    "streamspace.app.status.noop.b",
    "streamspace.node.status.noop.b",
    "streamspace.template.create",
    "streamspace.controller.world.noop.b",
    "streamspace.controller.heartbeat.noop.b",
    "streamspace.controller.heartbeat",
    "streamspace.dlq.streamspace.session.status.noop.b",
    "streamspace.dlq.anything",
    // what engines and users ask
    "streamspace.controller.sync.noop.b",
    "streamspace.controller.ask.noop.b",
    "streamspace.intake.admin.session.create",
    // answers to others
    "_INBOX.engine.x",
    "_INBOX.controller.noop.b.x",
    "_INBOX.x",
    // streams
    "$JS.API.STREAM.LIST",
    "$JS.API.STREAM.NAMES",
    "$JS.API.STREAM.CREATE.EVIL",
    "$JS.API.STREAM.INFO.SS_COMMANDS",
    "$JS.API.STREAM.DELETE.SS_COMMANDS",
    "$JS.API.STREAM.PURGE.SS_REPORTS",
    "$JS.API.STREAM.MSG.GET.SS_COMMANDS",
    "$JS.API.STREAM.MSG.DELETE.SS_COMMANDS",
    "$JS.API.DIRECT.GET.SS_COMMANDS",
    // consumers
    "$JS.API.CONSUMER.CREATE.SS_COMMANDS",
    "$JS.API.CONSUMER.CREATE.SS_COMMANDS.evil.streamspace.>",
    "$JS.API.CONSUMER.CREATE.SS_COMMANDS.noop_a.streamspace.*.*.noop.b",
    "$JS.API.CONSUMER.DURABLE.CREATE.SS_COMMANDS.noop_a",
    "$JS.API.CONSUMER.LIST.SS_COMMANDS",
    "$JS.API.CONSUMER.INFO.SS_COMMANDS.noop_b",
    "$JS.API.CONSUMER.DELETE.SS_COMMANDS.noop_b",
    "$JS.API.CONSUMER.MSG.NEXT.SS_COMMANDS.noop_b",
    "$JS.API.CONSUMER.MSG.NEXT.SS_REPORTS.engine",
    "$JS.API.CONSUMER.UNPIN.SS_COMMANDS.noop_b",
    // acknowledgements of others' work
    "$JS.ACK.SS_COMMANDS.noop_b.1.2.1.1.0",
    "$JS.ACK.SS_REPORTS.engine.1.1.1.1.0",
    "$SYS.REQ.SERVER.PING",
];

/// Subjects that a controller must not hear.
const NOT_HEARD: [&str; 14] = [
    ">",
    "_INBOX.>",
    "_INBOX.engine.>",
    "_INBOX.controller.>",
    "_INBOX.controller.noop.b.>",
    "streamspace.>",
    "streamspace.session.create.noop.b",
    "streamspace.session.create.noop.*",
    "streamspace.session.status.noop.a",
    "streamspace.controller.sync.noop.b",
    "streamspace.controller.ask.*.*",
    "streamspace.intake.>",
    "$JS.API.>",
    "$JS.EVENT.>",
];

#[tokio::test(flavor = "multi_thread")]
async fn an_attacker_with_a_controllers_key_reaches_nothing_of_others() -> anyhow::Result<()> {
    let bus = Bus::start(&[]).await?;
    let engine = declared(&bus).await?;
    let attacker = Attacker::of(&bus).await?;
    for subject in NOT_PUBLISHED {
        attacker.cannot_publish(subject).await?;
    }
    for subject in NOT_HEARD {
        attacker.cannot_hear(subject).await?;
    }
    let states = topology::inspect(&engine.jetstream).await?;
    let messages = states.iter().flatten().map(|state| state.messages).collect::<Vec<_>>();
    ensure!(messages == [2, 0, 0], "something was stored, read or removed: {messages:?}");
    let consumers = topology::consumers(&engine.jetstream, SS_COMMANDS, 10).await?.context("the stream is there")?;
    let mut names = consumers.iter().map(|one| one.name.clone()).collect::<Vec<_>>();
    names.sort();
    ensure!(names == ["noop_a", "noop_b"] && consumers.iter().all(|one| one.unacknowledged == 0), "{consumers:?}");
    Ok(())
}

/// The server checks the subject of a request, and not where its answer goes. What JetStream delivers is stored under its own
/// subject even then, so no command moves into another's lane; what it answers itself is no message of the contract.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_sent_elsewhere_is_carried_out_by_nobody() -> anyhow::Result<()> {
    let bus = Bus::start(&[]).await?;
    let engine = declared(&bus).await?;
    let attacker = Attacker::of(&bus).await?.client;
    let aim = subject::command(Verb::SessionCreate, &noop("b").0, &noop("b").1);
    let pull = r#"{"batch":1,"expires":1000000000,"group":"active"}"#;
    attacker.publish_with_reply("$JS.API.CONSUMER.MSG.NEXT.SS_COMMANDS.noop_a", aim.clone(), pull.into()).await?;
    attacker.publish_with_reply("$JS.API.INFO", aim.clone(), "".into()).await?;
    attacker.flush().await?;
    let stream = engine.jetstream.get_stream(SS_COMMANDS).await?;
    let deadline = tokio::time::Instant::now() + SOON;
    while stream.get_raw_message(4).await.is_err() {
        ensure!(tokio::time::Instant::now() < deadline, "the attack did not happen");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    for sequence in 3..=4 {
        let message = stream.get_raw_message(sequence).await?;
        let (subject, text) = (message.subject.as_str(), String::from_utf8_lossy(&message.payload));
        let moved = subject == aim && text == "a command";
        ensure!(!moved, "a command of a's became one of b's");
        ensure!(subject.ends_with(".noop.a") || text.contains("io.nats.jetstream.api"), "{subject}: {text}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_whole_life_of_sessions_needs_no_more_rights() -> anyhow::Result<()> {
    let mut bus = Bus::start(&[]).await?;
    let address = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
    let arguments = ["serve", "--http-addr", &address, "--default-platform", "noop", "--controllers-admission", "open"];
    let _engine = bus.part(&arguments, "engine.nk")?;
    let (_a, b) = (bus.controller("a")?, bus.controller("b")?);
    let (folder, server) = (bus.path().to_owned(), format!("http://{address}"));
    let ask = |arguments: &[&str]| run(&folder, &[arguments, &["--server", &server, "--token", TOKEN]].concat());
    for id in ["a", "b"] {
        until("the controller is known", || Ok(ask(&["controller", "get", id])?.code == Some(0)))?;
    }
    lives(&ask)?;

    // a dead letter, and its replay
    let attacker = Attacker::of(&bus).await?;
    attacker.client.publish("streamspace.session.status.noop.a", "nothing".into()).await?;
    attacker.client.flush().await?;
    let mut letter = String::new();
    until("it is a dead letter", || {
        letter = ask(&["dlq", "list", "-q"])?.out.trim().to_owned();
        Ok(!letter.is_empty())
    })?;
    ask(&["dlq", "replay", &letter])?.done()?;
    until("it is parked again", || {
        letter = ask(&["dlq", "list", "-q"])?.out.trim().to_owned();
        Ok(!letter.is_empty())
    })?;
    ask(&["dlq", "discard", &letter, "--reason", "a test"])?.done()?;

    // inventories, and streams that are made anew or lost
    ask(&["streams", "rebuild", "--reason", "a test", "--yes"])?.done()?;
    lives(&ask)?;
    bus.server.take().context("it runs")?.kill()?;
    std::fs::remove_dir_all(bus.path().join("store/jetstream"))?;
    bus.up()?;
    lives(&ask)?;
    let doctor = ask(&["doctor", "-o", "json"])?;
    let checks: Value = serde_json::from_str(&doctor.out)?;
    for check in checks["checks"].as_array().context("checks")? {
        ensure!(check["verdict"] == "ok", "{check}");
    }

    // its consumer goes with it
    drop(b);
    ask(&["controller", "revoke", "b", "--reason", "a test", "--yes", "--wait"])?.done()?;
    let violations =
        bus.log()?.lines().filter(|line| line.contains("Violation")).map(str::to_owned).collect::<Vec<_>>();
    ensure!(violations.is_empty(), "{violations:#?}");
    Ok(())
}

/// Create, hibernate, wake and delete.
fn lives(ask: &impl Fn(&[&str]) -> anyhow::Result<Said>) -> anyhow::Result<()> {
    ask(&["session", "create", "scratchpad", "--wait"])?.done()?;
    let id = ask(&["session", "list", "-q"])?.done()?.out;
    let id = id.trim();
    for verb in ["hibernate", "wake", "delete"] {
        ask(&["session", verb, id, "--wait"])?.done()?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_rotated_without_an_interruption_and_a_revoked_one_is_refused() -> anyhow::Result<()> {
    let bus = Bus::start(&[]).await?;
    let role = Role::Controller(noop("a").0, noop("a").1);
    let config = bus.connection(&role, "controller_noop_a.nk");
    let (who, old) = (["--platform", "noop", "--id", "a"], std::fs::read_to_string(bus.seed("controller_noop_a.nk"))?);
    let link = connect::connect(&config).await?;
    bus.config(&[&["rotate"][..], &who].concat())?;
    bus.reload()?;
    let fresh = connect::connect(&config).await?;
    ensure!(fresh.state.borrow().connects == 1 && link.state.borrow().connects == 1, "it was interrupted");
    // a connection with the old key is cut, and comes back with the new one by itself
    bus.config(&[&["retire"][..], &who].concat())?;
    bus.reload()?;
    let mut state = link.state.clone();
    tokio::time::timeout(Duration::from_secs(10), state.wait_for(|state| state.connects == 2)).await??;
    ensure!(fresh.state.borrow().connects == 1, "the new key was interrupted");
    ensure!(ConnectOptions::with_nkey(old.trim().to_owned()).connect(&bus.url).await.is_err(), "the old key works");

    let copy = bus.path().join("stolen.nk");
    std::fs::copy(bus.seed("controller_noop_a.nk"), &copy)?;
    bus.config(&[&["revoke"][..], &who].concat())?;
    bus.reload()?;
    tokio::time::timeout(Duration::from_secs(10), state.wait_for(|state| !state.connected)).await??;
    let stolen = connect::Config { nkey_file: Some(copy), ..config };
    ensure!(matches!(connect::connect(&stolen).await, Err(connect::Error::Credentials { .. })), "it is let in");
    ensure!(!bus.config(&["list"])?.out.contains("controller a"));
    Ok(())
}

#[test]
fn the_folder_is_private_and_what_is_wrong_is_named() -> anyhow::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempdir()?;
    let ask = |arguments: &[&str]| run(folder.path(), &[&["nats-config"], arguments].concat());
    ask(&["add", "--platform", "noop", "--id", "a"])?.refuses(2, &["users.json", "nats-config init"])?;
    ask(&["init"])?.done()?;
    ask(&["init"])?.refuses(4, &["they stay"])?;
    ask(&["add", "--platform", "noop", "--id", "a"])?.done()?;
    let seed = std::fs::read_to_string(folder.path().join("nats/controller_noop_a.nk"))?;
    ask(&["add", "--platform", "noop", "--id", "a"])?.done()?;
    ensure!(std::fs::read_to_string(folder.path().join("nats/controller_noop_a.nk"))? == seed, "it lost its key");
    ask(&["rotate", "--platform", "noop", "--id", "b"])?.refuses(3, &["controller b", "nats-config list"])?;
    ensure!(ask(&["add", "--platform", "No op", "--id", "a"])?.code == Some(2));
    for entry in std::fs::read_dir(folder.path().join("nats"))? {
        let mode = entry?.metadata()?.permissions().mode() & 0o777;
        ensure!(mode == 0o600, "{mode:o}");
    }
    let conf = std::fs::read_to_string(folder.path().join("nats/nats-server.conf"))?;
    ensure!(!conf.contains(seed.trim()), "a seed is in the server's configuration");
    let mut engine = program(folder.path(), &["controller", "--platform", "noop", "--controller-id", "a"]);
    engine.env("NATS_URL", "nats://127.0.0.1:1").env("NATS_NKEY_FILE", "nats/users.json");
    crate::program::said(engine.output()?)?.refuses(2, &["NATS_NKEY_FILE", "seed"])
}
