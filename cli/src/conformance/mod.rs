//! `streamspace conformance`: examines a controller in any language, from outside.

mod report;

use std::path::{Path, PathBuf};

use clap::ValueEnum;
use conformance::{Account, Error, Lane, Options, Promise, Templates};
use streams::ids::{ControllerId, Platform};
use streams::wire::Manifest;

use crate::failure::{Failure, Kind};
use crate::files;
use crate::output::{Screen, note};
use crate::shutdown::Shutdown;

const EXAMPLES: &str = "\
The controller is started with NATS_URL, NATS_USER, NATS_PASSWORD, CONTROLLER_ID, CONTROLLER_PLATFORM,
HEARTBEAT_INTERVAL, CONTROLLER_LANE (core or durable) and STATE_DIR (a folder that outlives its kills) in
its environment, and once more with SESSIONS_MAX. Standard error of the suite says where it is.

Examples:
  streamspace conformance --platform local --id local-1 -- streamspace controller
  streamspace conformance --platform python --id py-1 --lane both -- python3 controller.py
  streamspace conformance --list";

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Lanes {
    Core,
    Durable,
    Both,
}

/// Arguments of `streamspace conformance`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Platform that the controller drives
    #[arg(long, value_name = "PLATFORM", required_unless_present = "list")]
    platform: Option<String>,
    /// ID that the controller gets
    #[arg(long, value_name = "ID", required_unless_present = "list")]
    id: Option<String>,
    /// Lane that it is told to use, and held to: core, durable, or both one after the other
    #[arg(long, value_enum, value_name = "LANE", default_value = "durable", hide_possible_values = true)]
    lane: Lanes,
    /// Template of the sessions
    #[arg(long, value_name = "FILE")]
    template: Option<PathBuf>,
    /// Template that can never run
    #[arg(long, value_name = "FILE")]
    bad_template: Option<PathBuf>,
    /// Template that starts, never becomes ready, and is given up within a minute
    #[arg(long, value_name = "FILE")]
    unready_template: Option<PathBuf>,
    /// Shell command that lists what really exists, one thing a line with the session's id in it; without it
    /// such promises are reported as not seen
    #[arg(long, value_name = "COMMAND")]
    witness: Option<String>,
    /// Do not open the URLs of sessions
    #[arg(long)]
    no_open_urls: bool,
    /// Path below a session's URL that takes a text by PUT and returns it by GET
    #[arg(long, value_name = "PATH", default_value = "/notes")]
    write_path: String,
    /// Number of sessions that are created at once
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=1000))]
    sessions: u16,
    /// Check only promises whose name or text contains one of these
    #[arg(long, value_name = "TEXT")]
    only: Vec<String>,
    /// List the promises
    #[arg(long)]
    list: bool,
    /// File for the result as JUnit XML
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Empty folder for state and logs, which are kept; without it they are temporary
    #[arg(long, value_name = "DIR")]
    work_dir: Option<PathBuf>,
    /// nats-server binary
    #[arg(long, value_name = "FILE")]
    nats_server: Option<PathBuf>,
    /// Command that starts the controller; a shell script must `exec` it
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
}

/// Examines a controller; a broken promise is a failure.
pub(crate) async fn run(args: Args, screen: Screen) -> Result<(), Failure> {
    if args.list {
        return report::promises(&screen);
    }
    let lanes = match args.lane {
        Lanes::Core => vec![Lane::Core],
        Lanes::Durable => vec![Lane::Durable],
        Lanes::Both => vec![Lane::Core, Lane::Durable],
    };
    let examinations = lanes.into_iter().map(|lane| options(&args, lane)).collect::<Result<Vec<_>, _>>()?;
    let shutdown = Shutdown::listen()?;
    let mut accounts = Vec::new();
    for options in examinations {
        note(format!("examining `{}` in the {} lane", options.command.join(" "), options.lane.name()));
        let examined = shutdown.asked.run_until_cancelled(conformance::run(options)).await;
        let account = examined.ok_or_else(|| Failure::new(Kind::Interrupted, "the examination was interrupted"))?;
        accounts.push(account.map_err(failure)?);
    }
    report::print(&screen, &accounts)?;
    if let Some(file) = &args.junit {
        report::junit(file, &accounts)?;
    }
    if accounts.iter().all(Account::is_kept) {
        return Ok(());
    }
    Err(Failure::new(Kind::Failed, "the controller does not keep every promise")
        .hint("--only NAME for one of them, and --work-dir DIR to keep its log"))
}

fn options(args: &Args, lane: Lane) -> Result<Options, Failure> {
    let name = |text: &Option<String>| text.clone().unwrap_or_default();
    let platform = Platform::try_new(name(&args.platform)).map_err(|e| Failure::usage(format!("--platform: {e}")))?;
    let id = ControllerId::try_new(name(&args.id)).map_err(|e| Failure::usage(format!("--id: {e}")))?;
    if let Some(unknown) = args.only.iter().find(|text| !Promise::ALL.iter().any(|one| fits(*one, text))) {
        let message = format!("--only {unknown:?} matches no promise");
        return Err(Failure::usage(message).hint("streamspace conformance --list"));
    }
    Ok(Options {
        templates: templates(args, &platform)?,
        platform,
        id,
        lane,
        command: args.command.clone(),
        witness: args.witness.clone(),
        open_urls: !args.no_open_urls,
        write_path: args.write_path.clone(),
        sessions: usize::from(args.sessions),
        nats_server: args.nats_server.clone(),
        folder: args.work_dir.as_ref().map(|folder| folder.join(lane.name())),
        only: args.only.clone(),
    })
}

fn fits(promise: Promise, text: &str) -> bool {
    promise.name().contains(text) || promise.text().contains(text)
}

/// The built-in templates, each replaced by the file that is given for it. Where only the good one is given, the others are not
/// known, because they would be of another kind.
fn templates(args: &Args, platform: &Platform) -> Result<Templates, Failure> {
    let built_in = || {
        let message = "the built-in template cannot be read";
        Templates::built_in(platform.as_str()).ok_or_else(|| Failure::new(Kind::Failed, message))
    };
    let mut templates = match &args.template {
        Some(file) => Templates { good: manifest("--template", file)?, bad: None, unready: None },
        None => built_in()?,
    };
    if let Some(file) = &args.bad_template {
        templates.bad = Some(manifest("--bad-template", file)?);
    }
    if let Some(file) = &args.unready_template {
        templates.unready = Some(manifest("--unready-template", file)?);
    }
    Ok(templates)
}

fn manifest(flag: &str, file: &Path) -> Result<Manifest, Failure> {
    let wrong = |why: String| Failure::usage(format!("{flag} {}: {why}", file.display()));
    let text = files::text(file).map_err(|error| wrong(error.to_string()))?;
    let mut all = Manifest::read_all(&text).map_err(|error| wrong(error.in_text(&text)))?;
    match all.pop() {
        Some(one) if all.is_empty() => Ok(one),
        _ => Err(wrong("it must hold one template".into())),
    }
}

fn failure(error: Error) -> Failure {
    let kind = match &error {
        Error::NoCommand
        | Error::NothingToCheck
        | Error::Program { .. }
        | Error::Folder { .. }
        | Error::Server(streams::server::Error::NotFound { .. }) => Kind::Usage,
        _ => Kind::Unavailable,
    };
    Failure::because(kind, "conformance", &error)
}
