//! From a template to what is executed: arguments, environment, working folder. Decided whole before anything is touched.

use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};
use streams::wire::{Failure, Local, line_of};
use uuid::Uuid;

use super::{
    Config,
    helper::Launch,
    isolation::reachable,
    limits::{Limits, OPEN_FILES},
};
use controllers::driver::{Spec, user_error};

/// Tells a session's processes by their environment.
pub(super) const SESSION_MARK: &str = "STREAMSPACE_SESSION_ID";
/// Tells the processes of one state folder from those of another.
pub(super) const WORLD_MARK: &str = "STREAMSPACE_WORLD_ID";

/// Whose session it is.
pub(super) const USER_ID: &str = "STREAMSPACE_USER_ID";

const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// Whose process it is to be, and where.
pub(super) struct Place<'a> {
    pub(super) session_id: Uuid,
    pub(super) user_id: &'a str,
    pub(super) world_id: Uuid,
    pub(super) home: &'a Path,
    pub(super) port: u16,
    pub(super) executable: &'a Path,
    pub(super) enforce_memory: bool,
    /// It will run as a user of its own, who may be unable to reach what the controller can.
    pub(super) own_user: bool,
}

/// The template's block for this platform.
pub(super) fn local(spec: &Spec) -> Result<&Local, Failure> {
    let missing = |what: &str| user_error("template_not_for_local", format!("template {:?} {what}", spec.template_id));
    let template = spec.template.as_ref().ok_or_else(|| missing("came without its manifest"))?;
    let block = template.spec.local.as_ref();
    let block = block.ok_or_else(|| missing("has no `spec.local` block, which platform `local` needs to run it"))?;
    if block.command.first().is_none_or(String::is_empty) {
        return Err(missing("names no program in `spec.local.command`"));
    }
    Ok(block)
}

/// The command of a template that this machine can run. A program below the session's home is not known before that exists.
pub(super) fn runnable(spec: &Spec, config: &Config, world_id: Uuid) -> Result<String, Failure> {
    let block = local(spec)?;
    let (home, executable) = (config.state_dir.as_path(), config.executable.as_path());
    let (session_id, enforce_memory) = (Uuid::nil(), config.enforce_memory);
    let own_user = false; // known only where it is started
    let place = Place { session_id, user_id: "", world_id, home, port: 0, executable, enforce_memory, own_user };
    let program = block.command.first().map(|program| expand(program, &place)).unwrap_or_default();
    let below_home =
        program.contains('/') && (!program.starts_with('/') || program.starts_with(&*home.to_string_lossy()));
    if !below_home {
        find(&program, home, &environment(spec, &place), &place)?;
    }
    Limits::of(spec, enforce_memory)?;
    Ok(block.command.join(" "))
}

/// The same failure with the line of the manifest that it is about.
pub(super) fn in_manifest(failure: Failure, manifest: &str) -> Failure {
    let field = match failure.code.as_str() {
        "template_not_for_local" => "spec",
        "program_not_found" => "spec.local.command",
        _ => return failure,
    };
    let line = line_of(manifest, field).map(|line| format!("line {line}: {field}: ")).unwrap_or_default();
    Failure { message: format!("{line}{}", failure.message), ..failure }
}

/// Everything that is executed, but for whom.
pub(super) fn launch(spec: &Spec, place: &Place<'_>) -> Result<Launch, Failure> {
    let block = local(spec)?;
    let mut arguments = block.command.iter().map(|argument| expand(argument, place)).collect::<Vec<_>>();
    let environment = environment(spec, place);
    let working_dir = place.home.join(block.working_dir.as_deref().map(|dir| expand(dir, place)).unwrap_or_default());
    if working_dir != place.home && !working_dir.starts_with(place.home) && !working_dir.is_dir() {
        return Err(user_error("no_working_dir", format!("{} is no folder", working_dir.display())));
    }
    let program = find(&arguments.remove(0), &working_dir, &environment, place)?;
    let memory = Limits::of(spec, place.enforce_memory)?.memory;
    let (itself, home) = (program == place.executable, place.home.to_owned());
    let (open_files, owner) = (OPEN_FILES, None);
    Ok(Launch { program, itself, arguments, environment, working_dir, home, memory, open_files, owner })
}

/// Nothing of the controller's own environment but the search path: it may hold secrets.
fn environment(spec: &Spec, place: &Place<'_>) -> Vec<(String, String)> {
    let ours = [
        ("HOME", place.home.display().to_string()),
        ("PORT", place.port.to_string()),
        (SESSION_MARK, place.session_id.to_string()),
        (USER_ID, place.user_id.to_owned()),
        (WORLD_MARK, place.world_id.to_string()),
    ];
    let defaults = [
        ("PATH", std::env::var("PATH").unwrap_or_else(|_| DEFAULT_PATH.into())),
        ("LANG", std::env::var("LANG").unwrap_or_else(|_| "C.UTF-8".into())),
    ];
    let templates = spec.template.iter().flat_map(|t| &t.spec.env).map(|var| (var.name.as_str(), var.value.clone()));
    // Later ones win: a template may set PATH, and nobody may set what the driver finds its processes by.
    let all = defaults.into_iter().chain(templates).chain(ours);
    all.filter(|(name, value)| legal(name, value)).map(|(name, value)| (name.to_owned(), value)).collect()
}

/// What the kernel cannot carry would make the whole start fail.
fn legal(name: &str, value: &str) -> bool {
    !name.is_empty() && !name.contains(['=', '\0']) && !value.contains('\0')
}

fn expand(text: &str, place: &Place<'_>) -> String {
    let port = place.port.to_string();
    let text = text
        .replace("${PORT}", &port)
        .replace("${HOME}", &place.home.display().to_string())
        .replace("${STREAMSPACE_BIN}", &place.executable.display().to_string());
    bare(&text, "$PORT", &port)
}

/// Replaces a name without braces, where no longer name follows.
fn bare(text: &str, name: &str, value: &str) -> String {
    let mut pieces = text.split(name);
    let mut out = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let longer = piece.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
        out.push_str(if longer { name } else { value });
        out.push_str(piece);
    }
    out
}

/// Looked up here and not by the child, so that a missing program is told from one that failed.
fn find(
    program: &str,
    working_dir: &Path,
    environment: &[(String, String)],
    place: &Place<'_>,
) -> Result<PathBuf, Failure> {
    let executable = |path: &Path| path.is_file() && access(path, Access::EXEC_OK).is_ok();
    // The driver's own program is executed through a handle, and a home is its user's.
    let reached =
        |path: &Path| !place.own_user || path == place.executable || path.starts_with(place.home) || reachable(path);
    let missing = |place: &str| user_error("program_not_found", format!("program {program:?} was not found{place}"));
    let hidden = |path: &Path| {
        let message = format!(
            "program {} cannot be executed by the session's own user: it, or a folder above it, is closed to others",
            path.display()
        );
        user_error("program_not_found", message)
    };
    if program.contains('/') {
        let path = Some(working_dir.join(program)).filter(|path| executable(path));
        let path = path.ok_or_else(|| missing(" or cannot be executed"))?;
        return if reached(&path) { Ok(path) } else { Err(hidden(&path)) };
    }
    let path = environment.iter().rev().find(|(name, _)| name == "PATH").map(|(_, value)| value.as_str());
    let path = path.unwrap_or(DEFAULT_PATH);
    let found = std::env::split_paths(path).map(|folder| folder.join(program)).filter(|path| executable(path));
    let found = found.collect::<Vec<_>>();
    match (found.iter().find(|path| reached(path)), found.first()) {
        (Some(path), _) => Ok(path.clone()),
        (None, Some(path)) => Err(hidden(path)),
        (None, None) => Err(missing(&format!(" in {path}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::bare;

    #[test]
    fn a_longer_name_is_left_alone() {
        assert_eq!(bare("--port=$PORT,$PORT $PORTAL $PORT", "$PORT", "7"), "--port=7,7 $PORTAL 7");
    }
}
