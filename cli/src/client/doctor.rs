//! `streamspace doctor`: checks of the installation, with advice.

use serde_json::Value;

use super::{ClientFactory, Server};
use crate::failure::{Failure, Kind};
use crate::output::{Column, cell, line, printable};

const HELP: &str = "\
The exit code is 0 if nothing is wrong and 7 if something is, with `--strict` also for warnings. Any other
code means that the checks could not be run.

Examples:
  streamspace doctor
  streamspace doctor --strict -o json | jq '.checks[] | select(.verdict != \"ok\")'";

/// Arguments of `streamspace doctor`.
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub(crate) struct Args {
    /// Treat warnings as failures
    #[arg(long)]
    strict: bool,
    #[command(flatten)]
    server: Server,
}

const CHECKS: [Column; 3] = [
    Column::field("CHECK", "name").rank(0),
    Column::field("VERDICT", "verdict").rank(1),
    Column::field("", "sentence").rank(2),
];

/// Prints the diagnosis; its result decides the exit code.
pub(crate) async fn run(args: Args, factory: ClientFactory) -> Result<(), Failure> {
    let console = factory.console(&args.server)?;
    let diagnosis = console.client.get("/admin/doctor", &[]).await?;
    let none = Vec::new();
    let checks = diagnosis["checks"].as_array().unwrap_or(&none);
    if !console.screen.machine(&diagnosis)? {
        console.screen.list(&CHECKS, checks, "nothing was checked")?;
        checks.iter().for_each(print_check);
    }
    let of = |verdict: &str| checks.iter().filter(|check| check["verdict"] == verdict).count();
    let (wrong, warnings) = (of("wrong"), of("warning"));
    let healthy = diagnosis["healthy"] == true && wrong == 0;
    if healthy && (warnings == 0 || !args.strict) {
        return Ok(());
    }
    let what = if healthy {
        format!("{warnings} checks have warnings")
    } else {
        format!("{wrong} checks found something wrong")
    };
    Err(Failure::new(Kind::Unhealthy, what).hint("follow the advice after `do:`, or use -o json for the counts"))
}

/// Prints the findings of one check. Nothing is cut, because the advice may be at the end.
fn print_check(check: &Value) {
    let none = Vec::new();
    let findings = check["findings"].as_array().unwrap_or(&none);
    for finding in findings {
        line("");
        let words = |field: &str| printable(&cell(finding, field));
        line(format!("{}: {}", words("verdict"), words("about")));
        line(format!("  {}", words("sentence")));
        line(format!("  do: {}", words("way_out")));
    }
    let more = check["total"].as_u64().unwrap_or(0).saturating_sub(findings.len() as u64);
    if more > 0 {
        line("");
        line(format!("and {more} more of {}", printable(&cell(check, "name"))));
    }
}
