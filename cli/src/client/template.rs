//! `streamspace template`: the templates that sessions are created from.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::resource::Resource;
use super::{ClientFactory, Console, Server};
use crate::failure::{Failure, Kind};
use crate::output::{self, Column, cell};

const EXAMPLES: &str = "\
Examples:
  streamspace template apply catalog/
  streamspace template list
  streamspace template get scratchpad -o json";

/// Arguments of `streamspace template`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    server: Server,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Create or replace templates; each file is applied as a whole or not at all
    #[command(
        after_help = "Examples:\n  streamspace template apply firefox.yaml\n  streamspace template apply catalog/\n  \
                      streamspace template get scratchpad | sed s/scratchpad/notes/ | streamspace template apply -"
    )]
    Apply {
        /// Files, folders to search for .yaml, .yml and .json files, and - for stdin
        #[arg(required = true, value_name = "FILE|DIR|-")]
        paths: Vec<PathBuf>,
    },
    /// List templates
    #[command(after_help = "Example:\n  streamspace template list -q")]
    List,
    /// Show a template with its manifest
    #[command(after_help = "Example:\n  streamspace template get scratchpad > scratchpad.yaml")]
    Get {
        /// Name of the template
        name: String,
    },
    /// Delete a template; existing sessions are not affected
    #[command(after_help = "Example:\n  streamspace template delete firefox")]
    Delete {
        /// Name of the template
        name: String,
    },
}

/// Stands for stdin in place of a file name.
const STDIN: &str = "-";

const TEMPLATE: Resource = Resource {
    noun: "template",
    path: "/templates",
    id: "name",
    state: |row| cell(row, "outcome"),
    columns: &[
        Column::field("NAME", "name").rank(0),
        Column::field("DISPLAY NAME", "display_name").rank(1),
        Column::field("CATEGORY", "category").rank(3),
        Column::field("IMAGE", "base_image").rank(2),
        Column::field("BUILT IN", "built_in").rank(4),
    ],
    facts: &[],
    none: "no templates; `streamspace template apply FILE` creates one",
};

/// Runs the subcommand.
pub(crate) async fn run(args: Args, factory: ClientFactory) -> Result<(), Failure> {
    let console = factory.console(&args.server)?;
    match args.command {
        Command::Apply { paths } => apply(&console, &paths).await,
        Command::List => TEMPLATE.list(&console, Vec::new(), usize::MAX).await,
        Command::Get { name } => TEMPLATE.get(&console, name).await,
        Command::Delete { name } => {
            console.client.delete(&TEMPLATE.at(&name), &[]).await?;
            output::note(format!("deleted template {name}"));
            Ok(())
        }
    }
}

async fn apply(console: &Console, paths: &[PathBuf]) -> Result<(), Failure> {
    let files = files(paths)?;
    let (mut refused, mut outcomes) = (0, Vec::new());
    for file in &files {
        let answer = match read(file) {
            Ok(text) => console.client.post_yaml(TEMPLATE.path, &text).await,
            Err(error) => Err(Failure::from(error)),
        };
        match answer {
            Ok(answer) => outcomes.extend(report(console, file, &answer)),
            // Without a server, or without the permission, the other files would fail the same way.
            Err(failure) if matches!(failure.kind, Kind::Unavailable | Kind::Forbidden) => return Err(failure),
            Err(failure) => {
                refused += 1;
                let hint = failure.hint.map(|hint| format!("; try: {hint}")).unwrap_or_default();
                output::note(format!("{}: refused: {}{hint}", file.display(), failure.message));
            }
        }
    }
    if !console.screen.quiet {
        console.screen.machine(&Value::Array(outcomes))?;
    }
    if refused == 0 {
        return Ok(());
    }
    Err(Failure::new(Kind::Failed, format!("{refused} of {} files were refused; the others were applied", files.len())))
}

/// Reads a file, or stdin for `-`.
fn read(file: &Path) -> std::io::Result<String> {
    if file == Path::new(STDIN) { std::io::read_to_string(std::io::stdin()) } else { std::fs::read_to_string(file) }
}

/// Prints the outcome of a file, and returns the outcomes of its templates with the file's name.
fn report(console: &Console, file: &Path, answer: &Value) -> Vec<Value> {
    let mut items: Vec<Value> = answer["items"].as_array().cloned().unwrap_or_default();
    for item in &mut items {
        let (name, place) = (cell(item, "name"), file.display());
        if console.screen.quiet {
            output::line(output::printable(&name));
        } else if console.screen.for_people() {
            output::line(output::printable(&format!("{place}: {name} {}", cell(item, "outcome"))));
        }
        for warning in item["warnings"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            output::note(format!("{}: warning: {warning}", file.display()));
        }
        item["file"] = Value::String(file.display().to_string());
    }
    items
}

/// Resolves the arguments to files, each once, in order. A file that is named explicitly may have any extension.
fn files(paths: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    let mut found = Vec::new();
    for path in paths {
        if path == Path::new(STDIN) {
            found.push(path.clone());
            continue;
        }
        let before = found.len();
        collect(path, true, &mut found).map_err(|e| Failure::because(Kind::Usage, &path.display().to_string(), &e))?;
        if found.len() == before {
            let message = format!("{} contains no .yaml, .yml or .json file", path.display());
            return Err(Failure::usage(message).hint("name another folder, or the file itself"));
        }
    }
    let mut unique = std::collections::HashSet::new();
    found.retain(|path| unique.insert(path.clone()));
    Ok(found)
}

fn collect(path: &Path, named: bool, found: &mut Vec<PathBuf>) -> std::io::Result<()> {
    if !path.metadata()?.is_dir() {
        let known = |extension| ["yaml", "yml", "json"].into_iter().any(|known| extension == known);
        if named || path.extension().is_some_and(known) {
            found.push(path.to_owned());
        }
        return Ok(());
    }
    let mut inside =
        std::fs::read_dir(path)?.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<_>, _>>()?;
    inside.sort();
    // A link to a folder could form a cycle.
    inside.retain(|path| !(path.is_symlink() && path.is_dir()));
    inside.iter().try_for_each(|path| collect(path, false, found))
}
