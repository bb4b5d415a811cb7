//! `streamspace doctor`: what is wrong, in words, and what to do about it.

use serde_json::Value;

use super::{Asker, Server};
use crate::failure::{Failure, Kind};
use crate::output::{Column, cell, line, printable};

const HELP: &str = "\
It ends with 0 where nothing is wrong, with 7 where something is, and with `--strict` also where
something is only worth a look. Whether it could ask at all is told by the other codes.

Examples:
  streamspace doctor
  streamspace doctor --strict -o json | jq '.checks[] | select(.verdict != \"ok\")'";

/// `streamspace doctor`
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub(crate) struct Args {
    /// Warnings are failures too
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

/// Asks, tells, and ends as the diagnosis is.
pub(crate) async fn run(args: Args, asker: Asker) -> Result<(), Failure> {
    let console = asker.console(&args.server)?;
    let diagnosis = console.client.get("/admin/doctor", &[]).await?;
    let none = Vec::new();
    let checks = diagnosis["checks"].as_array().unwrap_or(&none);
    if !console.screen.machine(&diagnosis)? {
        console.screen.list(&CHECKS, checks, "nothing was checked")?;
        checks.iter().for_each(tell);
    }
    let of = |verdict: &str| checks.iter().filter(|check| check["verdict"] == verdict).count();
    let (wrong, warnings) = (of("wrong"), of("warning"));
    let healthy = diagnosis["healthy"] == true && wrong == 0;
    if healthy && (warnings == 0 || !args.strict) {
        return Ok(());
    }
    let what =
        if healthy { format!("{warnings} checks warn") } else { format!("{wrong} checks found something wrong") };
    Err(Failure::new(Kind::Unwell, what).hint("what each finding says after `do:`, or -o json for the counts"))
}

/// What one check found, each with its way out. Nothing is cut: these are the words that help.
fn tell(check: &Value) {
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
