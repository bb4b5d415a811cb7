//! What becomes of templates when applications come and go, and when a controller registers one.
//!
//! A template belongs to whoever wrote it (`templates.source`). An operator may write over any of them and so take it over.
//! Nobody else replaces what is not theirs, unless it says the same:
//! - an application whose name is taken by another manifest is refused when it is asked for, and where that happened since, it
//!   is ready and says whose template was left as it is;
//! - a controller whose `template.create` names what is another's has it parked, to be replayed once the name is free;
//! - the template of an application is its manifest: a controller's `template.create` for it is logged and changes nothing.

use serde_json::json;
use streams::wire::Manifest;
use uuid::Uuid;

use super::TemplateReport;
use crate::entities::application::is_gone;
use crate::store::{application, template};
use crate::writer::Error;
use crate::writer::batch::Batch;
use crate::writer::decided::Told;
use crate::writer::work::Done;

impl Batch<'_> {
    /// An application may have a name only where nobody else's template says something else under it.
    pub(super) fn refuse_foreign(&self, name: &str, manifest: &Manifest, own: Option<Uuid>) -> Result<(), Error> {
        let Ok(row) = self.living_template(name) else { return Ok(()) };
        let ours = own.is_some_and(|id| row.source == application::Model::entity(id));
        if ours || row.manifest == json!(manifest) {
            return Ok(());
        }
        Err(Error::Conflict(format!(
            "template {name} exists and is another one ({}); delete it first, or install this under another name",
            whose(&row.source)
        )))
    }

    /// Its template can be run: it is registered, unless the name has become another's.
    pub(super) fn register(&mut self, id: Uuid, trace: Option<&str>) -> Result<(), Error> {
        let row = self.application_slot(id)?.row.clone();
        let parsed = Manifest::read_all(&row.manifest).ok().and_then(|all| all.into_iter().next());
        let Some(manifest) = parsed else { return Ok(()) }; // it was read before it was accepted
        match self.living_template(&row.template_name) {
            Ok(known) if known.source != row.source() => Ok(()), // it stays whose it is
            _ => self.put_template(&manifest, &row.source(), Some(row.catalog_template_id), trace).map(drop),
        }
    }

    /// What is said of an application whose name became another's while it was being installed.
    pub(super) fn left_alone(&self, id: Uuid) -> Option<String> {
        let row = &self.application_slot(id).ok()?.row;
        let known = self.living_template(&row.template_name).ok()?;
        let manifest = Manifest::read_all(&row.manifest).ok()?.into_iter().next()?;
        let foreign = known.source != row.source() && known.manifest != json!(manifest);
        foreign.then(|| format!("template {} was left as it is: {}", row.template_name, whose(&known.source)))
    }

    /// It is gone: its template goes to another application of the same name, or is deleted.
    pub(super) fn withdraw(&mut self, id: Uuid, trace: Option<&str>) -> Result<(), Error> {
        let row = self.application_slot(id)?.row.clone();
        let Ok(known) = self.living_template(&row.template_name) else { return Ok(()) };
        if known.source != row.source() {
            return Ok(());
        }
        let alike =
            |other: &application::Model| other.template_name == row.template_name && other.install_status == "ready";
        let heir = self.applications.values().map(|slot| &slot.row).find(|other| alike(other)).cloned();
        let Some(heir) = heir else { return self.delete_template(&row.template_name, trace).map(drop) };
        match Manifest::read_all(&heir.manifest).ok().and_then(|all| all.into_iter().next()) {
            Some(manifest) => self.put_template(&manifest, &heir.source(), None, trace).map(drop),
            None => Ok(()),
        }
    }

    /// A controller's `template.create`.
    pub(super) fn template_report(&mut self, report: &TemplateReport, trace: Option<&str>) -> Result<Done, Error> {
        if self.is_known(report.event_id, &report.payload)? {
            return Ok(Done::Duplicate);
        }
        self.may_register(&report.subject, &report.author)?;
        let name = report.manifest.metadata.name.clone();
        let of_application = |slot: &super::Slot<application::Model>| {
            slot.row.template_name == name && !is_gone(&slot.row) && self.may_speak(&slot.row, report)
        };
        let applications = self.applications.values().any(of_application);
        let foreign = self
            .living_template(&name)
            .ok()
            .filter(|row| row.source != report.author && row.manifest != json!(report.manifest) && !applications);
        if let Some(row) = foreign {
            let owner = whose(&row.source);
            return Err(Error::Conflict(format!(
                "template {name} was left as it is: {owner}; replay this once it is gone"
            )));
        }
        let free = self.living_template(&name).map_or(true, |row| row.source == report.author);
        if free && !applications {
            self.put_template(&report.manifest, &report.author, None, trace)?;
        }
        self.log_template_report(&name, report, trace);
        Ok(Done::Written)
    }

    /// Whether a report comes from the application's owner.
    fn may_speak(&self, row: &application::Model, report: &TemplateReport) -> bool {
        match report.lane {
            machine::Lane::Durable => row.controller_id.as_deref() == Some(report.controller_id.as_str()),
            machine::Lane::Core => report.author == format!("platform:{}", row.platform),
        }
    }

    fn log_template_report(&mut self, name: &str, report: &TemplateReport, trace: Option<&str>) {
        let told = Told {
            event_id: report.event_id,
            subject: &report.subject,
            payload: &report.payload,
            generation: None,
            attempt: None,
            controller_id: &report.controller_id,
            causation_id: None,
            lane: report.lane,
            source: report.source,
        };
        self.seen.insert(report.event_id, report.payload.clone());
        self.count_report(&report.controller_id);
        let mut row = told.row(self.now_ms, template::Model::entity(name));
        row.traceparent = trace.map(str::to_owned);
        if let Some(slot) = self.templates.get_mut(name) {
            slot.row.entity_seq += 1;
            row.entity_seq = slot.row.entity_seq;
            slot.touch();
            self.log.push(row);
        }
    }
}

fn whose(source: &str) -> String {
    match source.split_once(':') {
        Some((kind, name)) => format!("it is {kind} {name}'s"),
        None if source == "built_in" => "it is shipped with the server".into(),
        None => "an operator wrote it".into(),
    }
}
