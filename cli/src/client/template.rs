//! `streamspace template`: what sessions can be made from.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{Client, Server, segment};
use crate::failure::{Failure, Kind};
use crate::output::{self, Column, Format, cell};

/// `streamspace template`
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    server: Server,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Creates or replaces templates: each file is taken whole or refused whole
    Apply {
        /// Files, and folders to look through for .yaml, .yml and .json
        #[arg(required = true, value_name = "FILE|DIR")]
        paths: Vec<PathBuf>,
    },
    /// Lists templates
    List,
    /// Shows one template with its manifest
    Get {
        /// Its name
        name: String,
    },
    /// Deletes a template; its sessions keep what they were created with
    Delete {
        /// Its name
        name: String,
    },
}

const COLUMNS: &[Column] = &[
    ("NAME", |row| cell(row, "name")),
    ("DISPLAY NAME", |row| cell(row, "display_name")),
    ("CATEGORY", |row| cell(row, "category")),
    ("IMAGE", |row| cell(row, "base_image")),
    ("BUILT IN", |row| cell(row, "built_in")),
];

/// Does one of them.
pub(crate) async fn run(args: Args) -> Result<(), Failure> {
    let (client, format) = (Client::new(&args.server)?, args.server.output);
    match args.command {
        Command::Apply { paths } => apply(&client, format, &paths).await,
        Command::List => {
            let rows = client.list("/templates", &[], usize::MAX).await?;
            output::list(format, COLUMNS, &rows, "no templates")
        }
        Command::Get { name } => {
            let template = client.get(&format!("/templates/{}", segment(&name)), &[]).await?;
            let format = if format == Format::Table { Format::Yaml } else { format };
            output::machine(format, &template).map(drop)
        }
        Command::Delete { name } => {
            client.delete(&format!("/templates/{}", segment(&name)), &[]).await?;
            output::note(format!("template {name} is deleted"));
            Ok(())
        }
    }
}

async fn apply(client: &Client, format: Format, paths: &[PathBuf]) -> Result<(), Failure> {
    let files = files(paths)?;
    let (mut refused, mut outcomes) = (0, Vec::new());
    for file in &files {
        let answer = match std::fs::read_to_string(file) {
            Ok(text) => client.post_yaml("/templates", text).await,
            Err(error) => Err(Failure::from(error)),
        };
        match answer {
            Ok(answer) => outcomes.extend(tell(format, file, &answer)),
            // Without a server, or without the right to ask, no other file fares better.
            Err(failure) if failure.kind == Kind::Unavailable => return Err(failure),
            Err(failure) => {
                refused += 1;
                let hint = failure.hint.map(|hint| format!("; try: {hint}")).unwrap_or_default();
                output::note(format!("{}: refused: {}{hint}", file.display(), failure.message));
            }
        }
    }
    output::machine(format, &Value::Array(outcomes))?;
    if refused == 0 {
        return Ok(());
    }
    Err(Failure::new(Kind::Failed, format!("{refused} of {} files refused; the others are applied", files.len())))
}

/// Says what came of a file; its outcomes, each with the file's name.
fn tell(format: Format, file: &Path, answer: &Value) -> Vec<Value> {
    let mut items: Vec<Value> = answer["items"].as_array().cloned().unwrap_or_default();
    for item in &mut items {
        let line = format!("{}: {} {}", file.display(), cell(item, "name"), cell(item, "outcome"));
        if format == Format::Table {
            output::line(output::printable(&line));
        }
        for warning in item["warnings"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            output::note(format!("{}: warning: {warning}", file.display()));
        }
        item["file"] = Value::String(file.display().to_string());
    }
    items
}

/// The files that are meant, each once, in order. What was named as a file is taken whatever its name.
fn files(paths: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    let mut found = Vec::new();
    for path in paths {
        let before = found.len();
        collect(path, true, &mut found).map_err(|e| Failure::because(Kind::Usage, &path.display().to_string(), &e))?;
        if found.len() == before {
            let message = format!("{} holds no .yaml, .yml or .json file", path.display());
            return Err(Failure::usage(message).hint("another folder, or the file itself"));
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
    // A link to a folder could lead back here for ever.
    inside.retain(|path| !(path.is_symlink() && path.is_dir()));
    inside.iter().try_for_each(|path| collect(path, false, found))
}
