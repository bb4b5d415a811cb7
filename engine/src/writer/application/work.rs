//! The pieces of work about applications, and what controllers say of templates.

use machine::Lane;
use machine::application::{Event, Observation};
use machine::command::Source;
use serde_json::Value;
use streams::wire::Manifest;
use uuid::Uuid;

/// An application as it was asked for, checked.
#[derive(Debug, Clone)]
pub struct NewApplication {
    /// Identity, should there be none of this name on this platform.
    pub install_id: Uuid,
    /// Identity of its install command.
    pub event_id: Uuid,
    /// The manifest's text, as it came.
    pub text: String,
    /// What it says.
    pub manifest: Manifest,
    /// Who asked.
    pub installed_by: String,
    /// Where it is to be installed.
    pub platform: String,
}

/// An application is to be uninstalled.
#[derive(Debug, Clone, Copy)]
pub struct UninstallApplication {
    /// The application.
    pub id: Uuid,
    /// Also while sessions use its template.
    pub force: bool,
}

/// A report on an application.
#[derive(Debug, Clone)]
pub struct ApplicationReport {
    /// Its identity.
    pub event_id: Uuid,
    /// The application.
    pub install_id: Uuid,
    /// The subject that it came on.
    pub subject: String,
    /// As it came.
    pub payload: Value,
    /// What it says.
    pub observation: Observation,
}

/// A controller's word that it can run a template.
#[derive(Debug, Clone)]
pub struct TemplateReport {
    /// Its identity.
    pub event_id: Uuid,
    /// The subject that it came on.
    pub subject: String,
    /// As it came.
    pub payload: Value,
    /// The template.
    pub manifest: Manifest,
    /// Who says so, as in `templates.source`.
    pub author: String,
    /// Who says so.
    pub controller_id: String,
    /// How it came.
    pub lane: Lane,
    /// Where it stands in the order.
    pub source: Source,
}

/// One piece of work about an application.
#[derive(Debug, Clone)]
pub enum ApplicationWork {
    /// Install it, or upgrade it where its manifest is another one.
    Install(Box<NewApplication>),
    /// Uninstall it.
    Uninstall(UninstallApplication),
    /// Its dead letter is replayed.
    Again(Uuid),
    /// Look again for a place.
    Place(Uuid),
    /// Time, a ready owner, or a lost stream.
    Happened(Uuid, Event),
    /// A report of its owner.
    Report(Box<ApplicationReport>),
    /// A controller registers a template.
    Template(Box<TemplateReport>),
}

impl From<ApplicationWork> for crate::writer::Work {
    fn from(work: ApplicationWork) -> Self {
        Self::Application(Box::new(work))
    }
}

impl ApplicationWork {
    /// The application whose owner's row may change with it.
    pub(in crate::writer) fn judges(&self) -> Option<Uuid> {
        match self {
            Self::Happened(id, _) => Some(*id),
            Self::Report(report) => report.observation.error.is_some().then_some(report.install_id),
            _ => None,
        }
    }
}
