//! What work about applications must read before it can decide, and how their rows are written.

use std::collections::HashMap;

use sea_orm::sea_query::ExprTrait;
use sea_orm::{
    ColumnTrait, DatabaseTransaction, DbErr, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect,
};
use uuid::Uuid;

use super::{ApplicationWork, UninstallApplication};
use crate::entities::replace;
use crate::queries::sessions;
use crate::store::{application, session};
use crate::writer::batch::{Batch, Slot, State};

/// Sessions that are named where an application is in use.
const NAMED: u64 = 5;

/// Living sessions of an application's template on its platform.
#[derive(Debug, Clone)]
pub(in crate::writer) struct Using {
    pub(in crate::writer) count: u64,
    pub(in crate::writer) first: Vec<Uuid>,
}

#[derive(Default)]
pub(in crate::writer) struct Needs {
    ids: Vec<Uuid>,
    names: Vec<String>,
    uninstalled: Vec<Uuid>,
}

impl Needs {
    /// Takes note of what a piece of work needs; answers the report that it is, if it is one.
    pub(in crate::writer) fn add(&mut self, work: &ApplicationWork) -> Option<Uuid> {
        match work {
            ApplicationWork::Install(new) => self.names.push(new.manifest.metadata.name.clone()),
            ApplicationWork::Uninstall(UninstallApplication { id, .. }) => {
                self.ids.push(*id);
                self.uninstalled.push(*id);
            }
            ApplicationWork::Again(id) | ApplicationWork::Place(id) | ApplicationWork::Happened(id, _) => {
                self.ids.push(*id);
            }
            ApplicationWork::Report(report) => {
                self.ids.push(report.install_id);
                return Some(report.event_id);
            }
            ApplicationWork::Template(report) => {
                self.names.push(report.manifest.metadata.name.clone());
                return Some(report.event_id);
            }
        }
        None
    }

    /// One that is meant by its id.
    pub(in crate::writer) fn one(&mut self, id: Uuid) {
        self.ids.push(id);
    }

    pub(in crate::writer) fn is_empty(&self) -> bool {
        self.ids.is_empty() && self.names.is_empty()
    }
}

impl Batch<'_> {
    pub(crate) async fn lock_applications(
        &mut self,
        tx: &DatabaseTransaction,
        needs: &mut crate::writer::Needs,
    ) -> Result<(), DbErr> {
        if !needs.applications.is_empty() {
            let meant = std::mem::take(&mut needs.applications);
            needs.templates.extend(self.load_applications(tx, meant).await?);
        }
        Ok(())
    }

    /// Reads and locks the applications that are meant, and the living ones of the same names; answers the names.
    pub(in crate::writer) async fn load_applications(
        &mut self,
        tx: &DatabaseTransaction,
        needs: Needs,
    ) -> Result<Vec<String>, DbErr> {
        use application::Column as C;
        let Needs { ids, mut names, uninstalled } = needs;
        let named: Vec<String> = application::Entity::find()
            .select_only()
            .column(C::TemplateName)
            .filter(C::InstallId.is_in(ids.clone()))
            .into_tuple()
            .all(tx)
            .await?;
        names.extend(named);
        names.sort_unstable();
        names.dedup();
        let meant = C::InstallId.is_in(ids).or(C::InstallStatus.ne("uninstalled"));
        let rows = application::Entity::find().filter(C::TemplateName.is_in(names.clone())).filter(meant);
        let rows = rows.order_by_asc(C::InstallId).lock_exclusive().all(tx).await?;
        self.applications = rows.into_iter().map(|row| (row.install_id, Slot { row, state: State::Clean })).collect();
        self.using = self.sessions_using(tx, &uninstalled).await?;
        Ok(names)
    }

    async fn sessions_using(&self, tx: &DatabaseTransaction, ids: &[Uuid]) -> Result<HashMap<Uuid, Using>, DbErr> {
        let mut all = HashMap::new();
        for row in ids.iter().filter_map(|id| self.applications.get(id)).map(|slot| &slot.row) {
            let living = session::Entity::find()
                .filter(session::Column::TemplateId.eq(&row.template_name))
                .filter(session::Column::Platform.eq(&row.platform))
                .filter(session::Column::Status.is_in(sessions::living()));
            let count = living.clone().count(tx).await?;
            let first = living.select_only().column(session::Column::SessionId);
            let first = first.order_by_asc(session::Column::CreatedMs).limit(NAMED).into_tuple().all(tx).await?;
            all.insert(row.install_id, Using { count, first });
        }
        Ok(all)
    }

    /// The number in the catalog of a template that may not exist yet.
    pub(super) fn catalog_id(&mut self, name: &str) -> i64 {
        if let Some(slot) = self.templates.get(name) {
            return slot.row.catalog_template_id;
        }
        self.next_catalog_id += 1;
        self.next_catalog_id - 1
    }

    pub(in crate::writer) async fn flush_applications(&mut self, tx: &DatabaseTransaction) -> Result<(), DbErr> {
        let touched = std::mem::take(&mut self.applications).into_values().filter(|slot| slot.state != State::Clean);
        replace::<application::Entity>(tx, touched.map(|slot| slot.row).collect()).await
    }
}
