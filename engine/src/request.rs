//! What a request for a session must be before it becomes an intent.
//!
//! Every mistake is found at once, and each names the field, the rule, and the way out.

use sea_orm::ConnectionTrait;
use streams::limits::{self, Breach, Check, TAG, TAGS, printable};
use streams::wire::{Manifest, Object, Resources};
use streams::{duration, quantity};
use uuid::Uuid;

use crate::ReadError;
use crate::hint::Hint;
use crate::platforms::{Mistake, Platforms};
use crate::templates::Templates;
use crate::writer::{self, NewSession};

/// A request as it came.
#[derive(Debug, Clone, Default)]
#[allow(missing_docs)] // the fields are those of the API
pub struct CreateSession {
    pub template_id: String,
    pub user_id: String,
    pub platform: Option<String>,
    pub resources: Resources,
    pub selector: Object,
    pub persistent_home: bool,
    pub idle_timeout: Option<String>,
    pub max_duration: Option<String>,
    pub tags: Vec<String>,
    pub metadata: Object,
}

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldError {
    /// The field, as a path.
    pub field: String,
    /// The rule that it breaks.
    pub rule: String,
    /// The way out.
    pub hint: Hint,
}

impl From<Breach> for FieldError {
    fn from(Breach { field, rule, hint }: Breach) -> Self {
        Self { field, rule, hint: hint.into() }
    }
}

/// All mistakes of a request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", summary(.0))]
pub struct Invalid(pub Vec<FieldError>);

fn summary(errors: &[FieldError]) -> String {
    errors.iter().map(|e| format!("{}: {}", e.field, e.rule)).collect::<Vec<_>>().join("; ")
}

/// Why a session was not created.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The request is wrong.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// It could not be written.
    #[error(transparent)]
    Writer(#[from] writer::Error),
    /// It could not be checked.
    #[error("the request cannot be checked now: {0}")]
    Database(#[from] ReadError),
}

impl From<sea_orm::DbErr> for Error {
    fn from(error: sea_orm::DbErr) -> Self {
        Self::Database(error.into())
    }
}

/// The mistakes that a check has found.
pub(crate) fn mistakes<T>(checked: Result<T, Error>) -> Result<Vec<FieldError>, Error> {
    match checked {
        Ok(_) => Ok(Vec::new()),
        Err(Error::Invalid(Invalid(mistakes))) => Ok(mistakes),
        Err(error) => Err(error),
    }
}

/// Gathers mistakes.
#[derive(Default)]
pub(crate) struct Mistakes(pub(crate) Vec<FieldError>);

impl Mistakes {
    pub(crate) fn add(&mut self, field: &str, rule: impl Into<String>, hint: impl Into<Hint>) {
        self.0.push(FieldError { field: field.into(), rule: rule.into(), hint: hint.into() });
    }

    /// What the limits of every entrance say.
    pub(crate) fn limits(&mut self, check: impl FnOnce(&mut Check)) {
        let mut found = Check::default();
        check(&mut found);
        self.0.extend(found.0.into_iter().map(FieldError::from));
    }

    pub(crate) fn tags(&mut self, tags: &[String]) {
        self.limits(|check| check.names("tags", tags, TAGS, TAG));
    }

    pub(crate) fn metadata(&mut self, metadata: &serde_json::Value) {
        self.limits(|check| check.free("metadata", metadata));
    }

    pub(crate) fn duration(&mut self, field: &str, value: Option<&str>) -> Option<i64> {
        match duration::parse(value?) {
            Ok(duration) => i64::try_from(duration.as_secs()).ok(),
            Err(error) => {
                self.add(field, error.to_string(), "write it as 90s, 30m or 1h30m");
                None
            }
        }
    }
}

/// Checks a request against the rules and against what exists.
pub(crate) async fn check(
    db: &impl ConnectionTrait,
    templates: &Templates,
    platforms: &Platforms,
    request: CreateSession,
) -> Result<NewSession, Error> {
    let mut mistakes = Mistakes::default();
    mistakes.limits(|check| check.name("user_id", &request.user_id, limits::NAME));
    let idle_timeout_s = mistakes.duration("idle_timeout", request.idle_timeout.as_deref());
    let max_duration_s = mistakes.duration("max_duration", request.max_duration.as_deref());
    check_extras(&request, &mut mistakes);
    let platform = match platforms.of_request(db, request.platform.as_deref()).await? {
        Ok(platform) => Some(platform),
        Err(mistake) => {
            mistakes.0.push(mistake);
            None
        }
    };
    let manifest = templates.living(db, &request.template_id).await?;
    check_template(manifest.as_deref(), &request.template_id, platform.as_deref(), platforms, &mut mistakes);
    check_resources(&request.resources, &mut mistakes);
    let (Some(platform), true) = (platform, mistakes.0.is_empty()) else {
        return Err(Invalid(mistakes.0).into());
    };
    Ok(NewSession {
        session_id: Uuid::now_v7(),
        event_id: Uuid::now_v7(),
        user_id: request.user_id,
        template_id: request.template_id,
        platform,
        resources: request.resources,
        selector: request.selector,
        persistent_home: request.persistent_home,
        idle_timeout_s,
        max_duration_s,
        tags: request.tags,
        metadata: request.metadata,
    })
}

fn check_extras(request: &CreateSession, mistakes: &mut Mistakes) {
    mistakes.tags(&request.tags);
    mistakes.limits(|check| check.labels("selector", &request.selector));
    mistakes.metadata(&serde_json::Value::Object(request.metadata.clone()));
}

/// The template must exist, and the platform must be able to run it.
fn check_template(
    manifest: Option<&Manifest>,
    name: &str,
    platform: Option<&str>,
    platforms: &Platforms,
    mistakes: &mut Mistakes,
) {
    let Some(manifest) = manifest else {
        let rule = format!("there is no template {:?}", limits::shorten(name, limits::TEMPLATE_NAME));
        mistakes.add("template_id", rule, Hint::Templates);
        return;
    };
    let Some(platform) = platform else { return };
    let (needs, has) = needs(manifest, platform);
    if !has {
        let rule = format!(
            "template {name:?} can never run on platform {platform}: it has no {}",
            needs.trim_start_matches("a ")
        );
        mistakes.add("template_id", rule, format!("add {needs} to the template's spec, or choose another platform"));
        return;
    }
    for Mistake { field, rule } in platforms.mistakes(manifest, platform) {
        let rule = format!("template {name:?} does not fit platform {platform}: {field}: {rule}");
        mistakes.add("template_id", rule, "correct the template, or choose another platform");
    }
}

/// What a platform needs of a manifest, and whether it has it.
pub(crate) fn needs(manifest: &Manifest, platform: &str) -> (&'static str, bool) {
    match platform {
        "local" => ("a `local` block", manifest.spec.local.is_some()),
        "docker" | "kubernetes" => ("a `baseImage`", manifest.spec.base_image.is_some()),
        _ => ("", true),
    }
}

fn check_resources(asked: &Resources, mistakes: &mut Mistakes) {
    for (field, text) in [("resources.memory", &asked.memory), ("resources.cpu", &asked.cpu)] {
        if text.as_deref().is_some_and(|text| !printable(text, limits::QUANTITY)) {
            let rule = format!("must be 1 to {} printable characters", limits::QUANTITY);
            return mistakes.add(field, rule, "write it as 512Mi or 500m");
        }
    }
    if let Some(Err(error)) = asked.memory.as_deref().map(quantity::bytes) {
        mistakes.add("resources.memory", error.to_string(), "write it as 512Mi or 2Gi");
    }
    if let Some(Err(error)) = asked.cpu.as_deref().map(quantity::millicores) {
        mistakes.add("resources.cpu", error.to_string(), "write it as 500m or 2");
    }
}
