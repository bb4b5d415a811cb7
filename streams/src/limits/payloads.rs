//! The limits of each payload received over NATS.

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{
    Breach, CAPABILITIES, CAPABILITY, CODE, CORE_CONTROLLER_ID, Check, DEPTH, DESCRIPTION, DISPLAY_NAME, ENTRIES,
    Error, GENERATION, ICON, IMAGE, MANIFEST, MESSAGE, NAME, PHASE, QUANTITY, REPORT, RESOURCE_NAME, SCHEMA_HASH,
    SEALING_KEY, TAG, TAGS, TEMPLATE_NAME, VERSION, json, printable, shorten, url_scheme,
};
use crate::ids::Platform;
use crate::wire::{
    AppStatus, Failure, Heartbeat, Manifest, NodeStatus, Resources, SessionStatus, TemplateCreate, TemplateSpec, World,
};

/// A payload from a controller.
pub trait Payload: DeserializeOwned {
    /// JSON pointers to texts for people, with their maximum characters; `*` stands for every item of an array.
    const TEXTS: &'static [(&'static str, usize)];
    /// Maximum bytes after those texts are shortened.
    const BYTES: usize = REPORT;

    /// Records all other breaches.
    fn check(&self, check: &mut Check);
}

/// Reads a payload; returns the document to keep, with its long texts shortened, and the parsed value.
///
/// # Errors
/// It is not of its type, or breaks limits.
pub fn read<T: Payload>(bytes: &[u8]) -> Result<(Value, T), Error> {
    let mut tree = json::document(bytes)?;
    for (pointer, max) in T::TEXTS {
        shorten_at(&mut tree, pointer, *max);
    }
    let payload: T = serde_path_to_error::deserialize(&tree).map_err(|error| misfit(&error))?;
    let mut check = Check::default();
    payload.check(&mut check);
    if check.0.is_empty() && bytes.len() > T::BYTES && tree.to_string().len() > T::BYTES {
        check.add(
            "",
            format!("must have at most {} bytes of JSON", T::BYTES),
            "leave out fields that the contract does not define",
        );
    }
    if check.0.is_empty() { Ok((tree, payload)) } else { Err(Error::Breaches(check.0)) }
}

/// A wrong type or a missing field, with its path.
fn misfit(error: &serde_path_to_error::Error<serde_json::Error>) -> Error {
    let (path, rule) = (error.path().to_string(), error.inner().to_string());
    let path = if path == "." { String::new() } else { path };
    let (field, rule) = match rule.strip_prefix("missing field `").and_then(|rest| rest.strip_suffix('`')) {
        Some(name) if path.is_empty() => (name.to_owned(), "is required".to_owned()),
        Some(name) => (format!("{path}.{name}"), "is required".to_owned()),
        None => (path, rule),
    };
    let hint = "see /asyncapi.json for its schema".to_owned();
    Error::Breaches(vec![Breach { field, rule, hint }])
}

fn shorten_at(tree: &mut Value, pointer: &str, max: usize) {
    if let Some((items, rest)) = pointer.split_once("/*") {
        let items = tree.pointer_mut(items).and_then(Value::as_array_mut);
        return items.into_iter().flatten().for_each(|item| shorten_at(item, rest, max));
    }
    if let Some(Value::String(text)) = tree.pointer_mut(pointer)
        && let std::borrow::Cow::Owned(short) = shorten(text, max)
    {
        *text = short;
    }
}

/// A controller's id in a payload; in the core lane it is not a token of a subject.
pub fn controller_id(check: &mut Check, field: &str, id: &str) {
    check.name(field, id, CORE_CONTROLLER_ID);
}

fn resources(check: &mut Check, field: &str, resources: Option<&Resources>) {
    let Some(Resources { memory, cpu }) = resources else { return };
    check.maybe(&format!("{field}.memory"), memory.as_deref(), QUANTITY);
    check.maybe(&format!("{field}.cpu"), cpu.as_deref(), QUANTITY);
}

fn counters(check: &mut Check, generation: Option<i64>, attempt: Option<i32>) {
    if generation.is_some_and(|generation| !(0..=GENERATION).contains(&generation)) {
        check.add("generation", format!("must be from 0 to {GENERATION}"), "echo that of the command");
    }
    if attempt.is_some_and(i32::is_negative) {
        check.add("attempt", "must not be negative", "echo that of the command");
    }
}

fn failure(check: &mut Check, failure: Option<&Failure>) {
    if let Some(failure) = failure {
        check.maybe("error.code", Some(&failure.code), CODE);
    }
}

fn platform(check: &mut Check, name: &str) {
    if let Err(error) = Platform::try_new(name) {
        check.add("platform", error.to_string(), "use one of the platforms of GET /api/v1/platforms");
    }
}

impl Payload for SessionStatus {
    const TEXTS: &'static [(&'static str, usize)] =
        &[("/message", MESSAGE), ("/phase", PHASE), ("/error/message", MESSAGE)];

    fn check(&self, check: &mut Check) {
        if let Some(url) = self.url.as_deref().filter(|url| !url.is_empty()) {
            check.url("url", url);
        }
        check.maybe("pod_name", self.pod_name.as_deref(), RESOURCE_NAME);
        if let Some(id) = self.controller_id.as_deref().filter(|id| !id.is_empty()) {
            controller_id(check, "controller_id", id);
        }
        resources(check, "resource_usage", self.resource_usage.as_ref());
        counters(check, self.generation, self.attempt);
        failure(check, self.error.as_ref());
    }
}

impl Payload for AppStatus {
    const TEXTS: &'static [(&'static str, usize)] = &[("/message", MESSAGE), ("/error/message", MESSAGE)];

    fn check(&self, check: &mut Check) {
        check.name("template_name", &self.template_name, TEMPLATE_NAME);
        check.maybe("template_namespace", self.template_namespace.as_deref(), NAME);
        counters(check, self.generation, self.attempt);
        if let Some(id) = self.controller_id.as_deref().filter(|id| !id.is_empty()) {
            controller_id(check, "controller_id", id);
        }
        failure(check, self.error.as_ref());
    }
}

impl Payload for TemplateCreate {
    const TEXTS: &'static [(&'static str, usize)] = &[];
    /// A manifest is a string in it, in which line ends take two bytes each.
    const BYTES: usize = 2 * MANIFEST + REPORT;

    fn check(&self, check: &mut Check) {
        check.name("template_name", &self.template_name, TEMPLATE_NAME);
        check.maybe("display_name", Some(&self.display_name), DISPLAY_NAME);
        check.maybe("category", Some(&self.category), DISPLAY_NAME);
        check.maybe("base_image", Some(&self.base_image), IMAGE);
        platform(check, &self.platform);
        if self.manifest.len() > MANIFEST {
            check.add(
                "manifest",
                format!("must have at most {MANIFEST} bytes"),
                "leave out fields that no platform uses",
            );
        }
    }
}

impl Payload for NodeStatus {
    const TEXTS: &'static [(&'static str, usize)] = &[];

    fn check(&self, check: &mut Check) {
        check.name("node_name", &self.node_name, NAME);
    }
}

impl Payload for World {
    const TEXTS: &'static [(&'static str, usize)] =
        &[("/sessions/*/message", MESSAGE), ("/sessions/*/phase", PHASE), ("/sessions/*/error/message", MESSAGE)];
    /// As many sessions as fit into one message.
    const BYTES: usize = usize::MAX;

    fn check(&self, check: &mut Check) {
        controller_id(check, "controller_id", &self.controller_id);
        platform(check, &self.platform);
        for (i, session) in self.sessions.iter().enumerate() {
            let mut of_session = Check::default();
            session.check(&mut of_session);
            let placed = |breach: Breach| Breach { field: format!("sessions[{i}].{}", breach.field), ..breach };
            check.0.extend(of_session.0.into_iter().map(placed));
        }
    }
}

impl Payload for Heartbeat {
    const TEXTS: &'static [(&'static str, usize)] = &[("/version", VERSION)];

    fn check(&self, check: &mut Check) {
        controller_id(check, "controller_id", &self.controller_id);
        platform(check, &self.platform);
        check.names("capabilities", &self.capabilities, CAPABILITIES, CAPABILITY);
        check.free("cluster_info", &Value::Object(self.cluster_info.clone()));
        check.labels("labels", &self.labels);
        check.maybe("sealing_key", self.sealing_key.as_deref(), SEALING_KEY);
        check.maybe("template_schema_hash", self.template_schema_hash.as_deref(), SCHEMA_HASH);
        check.free("attributes", &Value::Object(self.attributes.clone()));
    }
}

/// The breaches of limits in a manifest, each with its path in it.
#[must_use]
pub fn manifest(manifest: &Manifest) -> Vec<Breach> {
    let mut check = Check::default();
    check.name("metadata.name", &manifest.metadata.name, TEMPLATE_NAME);
    spec(&mut check, &manifest.spec);
    let tree = serde_json::to_value(manifest).unwrap_or_default();
    check.0.extend(json::yaml_breaches(&tree, DEPTH));
    if tree.to_string().len() > MANIFEST {
        check.add("", format!("must have at most {MANIFEST} bytes of JSON"), "leave out fields that no platform uses");
    }
    check.0
}

fn spec(check: &mut Check, spec: &TemplateSpec) {
    check.name("spec.displayName", &spec.display_name, DISPLAY_NAME);
    check.text("spec.description", &spec.description, DESCRIPTION);
    check.text("spec.category", &spec.category, DISPLAY_NAME);
    check.maybe("spec.baseImage", spec.base_image.as_deref(), IMAGE);
    if let Some(icon) = spec.icon.as_deref().filter(|icon| !icon.is_empty()) {
        let picture = icon.to_ascii_lowercase().starts_with("data:image/");
        let known = picture || url_scheme(icon).is_none_or(|scheme| matches!(scheme.as_str(), "http" | "https"));
        if !known || !printable(icon, ICON) {
            let rule =
                format!("must be a path, an http or https URL, or a data:image/ URL, of at most {ICON} characters");
            check.add("spec.icon", rule, "write it as https://host/icon.png");
        }
    }
    check.names("spec.tags", &spec.tags, TAGS, TAG);
    check.names("spec.capabilities", &spec.capabilities, CAPABILITIES, CAPABILITY);
    for (field, count) in [
        ("spec.ports", spec.ports.len()),
        ("spec.env", spec.env.len()),
        ("spec.volumeMounts", spec.volume_mounts.len()),
        ("spec.local.command", spec.local.as_ref().map_or(0, |local| local.command.len())),
    ] {
        check.count(field, count, ENTRIES);
    }
    resources(check, "spec.defaultResources", spec.default_resources.as_ref());
}
