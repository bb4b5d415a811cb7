//! What reports on applications and templates say, in the writer's terms.

use machine::Lane;
use machine::application::Observation;
use machine::command::Source;
use serde_json::Value;
use streams::limits::{self, Payload};
use streams::subject::Sender;
use streams::wire::{AppState, AppStatus, Manifest, TemplateCreate};
use streams::worker::Delivery;

use super::failure;
use crate::writer::{ApplicationReport, TemplateReport};

fn decode<T: Payload>(delivery: &Delivery) -> Result<(Value, T), String> {
    limits::read(&delivery.payload).map_err(|error| error.to_string())
}

pub(super) fn app_status(delivery: &Delivery, sender: &Sender, source: Source) -> Result<ApplicationReport, String> {
    let (payload, status) = decode::<AppStatus>(delivery)?;
    let (lane, controller_id) = match sender {
        Sender::Durable(_, controller) => (Lane::Durable, controller.to_string()),
        Sender::Core => (Lane::Core, status.controller_id.clone().unwrap_or_default()),
    };
    let failed = status.status == AppState::Failed;
    let observation = Observation {
        controller_id,
        lane,
        source,
        status: status.status,
        generation: status.generation,
        causation_id: status.causation_id,
        attempt: status.attempt,
        instance_id: status.instance_id,
        error: failure(status.error.as_ref(), failed, status.message.as_deref()),
        message: status.message,
    };
    let (event_id, install_id, subject) = (status.event_id, status.install_id, delivery.subject.clone());
    Ok(ApplicationReport { event_id, install_id, subject, payload, observation })
}

pub(super) fn template_create(delivery: &Delivery, sender: &Sender, source: Source) -> Result<TemplateReport, String> {
    let (payload, template) = decode::<TemplateCreate>(delivery)?;
    let manifest = manifest(&template)?;
    let (lane, controller_id, author) = match sender {
        Sender::Durable(_, controller) => (Lane::Durable, controller.to_string(), format!("controller:{controller}")),
        Sender::Core => (Lane::Core, String::new(), format!("platform:{}", template.platform)),
    };
    let (event_id, subject) = (template.event_id, delivery.subject.clone());
    Ok(TemplateReport { event_id, subject, payload, manifest, author, controller_id, lane, source })
}

/// The one manifest in it, which has its name.
pub(super) fn manifest(template: &TemplateCreate) -> Result<Manifest, String> {
    let all = Manifest::parse_all(&template.manifest).map_err(|error| error.in_text(&template.manifest))?;
    let [manifest] = <[Manifest; 1]>::try_from(all).map_err(|all| format!("{} manifests instead of one", all.len()))?;
    if manifest.metadata.name != template.template_name {
        let (outside, inside) = (&template.template_name, manifest.metadata.name);
        return Err(format!("template_name is {outside:?}, but the manifest's name is {inside:?}"));
    }
    Ok(manifest)
}
