//! Whether a report could be read, and else which field is wrong: the types are those that reports are read with.

use serde::de::DeserializeOwned;
use serde_json::Value;
use streams::subject::{self, Report, Sender};
use streams::wire::{AppStatus, SessionStatus, TemplateCreate, World};

use super::{has_nul, reports};
use crate::request::FieldError;

/// What is wrong with a payload, as a report on this subject.
pub(crate) fn illegible(subject: &str, payload: &[u8]) -> Option<FieldError> {
    let Some((report, sender)) = subject::parse_report(subject) else {
        return Some(wrong(".", format!("{subject} is not a subject of reports"), "discard it"));
    };
    let payload: Value = match serde_json::from_slice(payload) {
        Ok(payload) => payload,
        Err(error) => return Some(wrong(".", error.to_string(), "write it as a JSON object")),
    };
    if has_nul(&payload) {
        return Some(wrong(".", "a string holds a NUL character".into(), "leave that character out"));
    }
    let name = report.name();
    match report {
        Report::SessionStatus => read::<SessionStatus>(&payload, name).err(),
        Report::AppStatus => read::<AppStatus>(&payload, name).err(),
        Report::TemplateCreate => read::<TemplateCreate>(&payload, name).and_then(|template| manifest(&template)).err(),
        Report::ControllerWorld => read::<World>(&payload, name).and_then(|world| teller(&world, &sender)).err(),
        Report::NodeStatus => Some(wrong(".", format!("this version does not act on {name}"), "discard it")),
    }
}

fn read<T: DeserializeOwned>(payload: &Value, report: &str) -> Result<T, FieldError> {
    serde_path_to_error::deserialize(payload).map_err(|error| {
        let (path, rule) = (error.path().to_string(), error.inner().to_string());
        let hint = format!("/asyncapi.json says what {report} looks like");
        match rule.strip_prefix("missing field `").and_then(|rest| rest.strip_suffix('`')) {
            Some(name) if path == "." => wrong(name, "is required".into(), &hint),
            Some(name) => wrong(&format!("{path}.{name}"), "is required".into(), &hint),
            None => wrong(&path, rule, &hint),
        }
    })
}

fn manifest(template: &TemplateCreate) -> Result<(), FieldError> {
    let read = reports::manifest(template).map(drop);
    read.map_err(|why| wrong("manifest", why, "write one manifest, as `streamspace template apply` takes it"))
}

fn teller(world: &World, sender: &Sender) -> Result<(), FieldError> {
    let Sender::Durable(platform, controller) = sender else {
        return Err(wrong(".", "a world is told in the durable lane".into(), "discard it"));
    };
    for (field, told, own) in
        [("platform", &world.platform, platform.as_str()), ("controller_id", &world.controller_id, controller.as_str())]
    {
        if told != own {
            return Err(wrong(
                field,
                format!("is {told:?}, and its subject says {own:?}"),
                "write what the subject says",
            ));
        }
    }
    Ok(())
}

fn wrong(path: &str, rule: String, hint: &str) -> FieldError {
    let field = if path == "." { "payload".to_owned() } else { format!("payload.{path}") };
    FieldError { field, rule, hint: hint.to_owned() }
}
