//! Whether a report could be read, and else which field is wrong: the types are those that reports are read with.

use streams::limits::{self, Payload};
use streams::subject::{self, Report, Sender};
use streams::wire::{AppStatus, SessionStatus, TemplateCreate, World};

use super::reports;
use crate::request::FieldError;

/// What is wrong with a payload, as a report on this subject.
pub(crate) fn illegible(subject: &str, payload: &[u8]) -> Option<FieldError> {
    let Some((report, sender)) = subject::parse_report(subject) else {
        return Some(wrong(".", format!("{subject} is not a subject of reports"), "discard it"));
    };
    match report {
        Report::SessionStatus => read::<SessionStatus>(payload).err(),
        Report::AppStatus => read::<AppStatus>(payload).err(),
        Report::TemplateCreate => read::<TemplateCreate>(payload).and_then(|template| manifest(&template)).err(),
        Report::ControllerWorld => read::<World>(payload).and_then(|world| teller(&world, &sender)).err(),
        Report::NodeStatus => Some(wrong(".", format!("this version does not act on {}", report.name()), "discard it")),
    }
}

fn read<T: Payload>(payload: &[u8]) -> Result<T, FieldError> {
    limits::read(payload).map(|(_, read)| read).map_err(|error| match error {
        limits::Error::Breaches(breaches) => match breaches.into_iter().next() {
            Some(breach) if breach.field.is_empty() => wrong(".", breach.rule, &breach.hint),
            Some(breach) => wrong(&breach.field, breach.rule, &breach.hint),
            None => wrong(".", "breaks a limit".into(), "see docs/limits.md"),
        },
        limits::Error::Syntax(error) => wrong(".", error.to_string(), "write it as a JSON object"),
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
    FieldError { field, rule, hint: hint.into() }
}
