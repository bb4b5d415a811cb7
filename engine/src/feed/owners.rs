//! Whose a row is, and where: facts of its entity that do not change, so they are read once and kept. (An upgrade by another
//! administrator does change whose an application is; until it is forgotten here, its rows are the first one's.)

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};

use sea_orm::{ColumnTrait, DatabaseConnection, DbErr, EntityTrait, QueryFilter, QuerySelect};
use uuid::Uuid;

use crate::entities::commanded::{Commanded, each};
use crate::store::controller;

/// Entities that are remembered; beyond it all are forgotten and read again.
const KEPT: usize = 16_384;

/// What is known of an entity.
#[derive(Debug, Clone, Default)]
pub(super) struct Owner {
    pub(super) user_id: Option<String>,
    pub(super) platform: Option<String>,
}

/// The memory; shared by all who read the log.
#[derive(Debug, Default)]
pub(super) struct Owners(Mutex<HashMap<String, Owner>>);

impl Owners {
    /// The owners of these entities. One query for each noun that has unknown ones.
    pub(super) async fn of(
        &self,
        db: &DatabaseConnection,
        entities: &BTreeSet<&str>,
    ) -> Result<HashMap<String, Owner>, DbErr> {
        let mut found = self.known(entities);
        let unknown: Vec<&str> = entities.iter().copied().filter(|entity| !found.contains_key(*entity)).collect();
        let mut read = each!(E => commanded::<E>(db, &unknown).await?).concat();
        read.extend(controllers(db, &unknown).await?);
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() + read.len() > KEPT {
            kept.clear();
        }
        kept.extend(read.iter().cloned());
        found.extend(read);
        Ok(found)
    }

    fn known(&self, entities: &BTreeSet<&str>) -> HashMap<String, Owner> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        entities.iter().filter_map(|entity| Some(((*entity).to_owned(), kept.get(*entity)?.clone()))).collect()
    }
}

async fn commanded<E: Commanded>(db: &DatabaseConnection, entities: &[&str]) -> Result<Vec<(String, Owner)>, DbErr> {
    let ids: Vec<Uuid> = entities.iter().filter_map(|entity| E::named(entity)).collect();
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let select = E::find().select_only().columns([E::KEY, E::USER_ID, E::PLATFORM]);
    let rows = select.filter(E::KEY.is_in(ids)).into_tuple::<(Uuid, String, String)>();
    let owner = |(id, user, platform)| (E::entity(id), Owner { user_id: Some(user), platform: Some(platform) });
    Ok(rows.all(db).await?.into_iter().map(owner).collect())
}

async fn controllers(db: &DatabaseConnection, entities: &[&str]) -> Result<Vec<(String, Owner)>, DbErr> {
    let ids: Vec<&str> = entities.iter().filter_map(|entity| entity.strip_prefix("controller:")).collect();
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let columns = [controller::Column::ControllerId, controller::Column::Platform];
    let select = controller::Entity::find().select_only().columns(columns);
    let rows = select.filter(controller::Column::ControllerId.is_in(ids)).into_tuple::<(String, String)>();
    let owner = |(id, platform): (String, String)| {
        (controller::Model::entity(&id), Owner { user_id: None, platform: Some(platform) })
    };
    Ok(rows.all(db).await?.into_iter().map(owner).collect())
}
