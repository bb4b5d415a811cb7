//! The table `engine_secrets`: what the engines of one installation share, and nobody else may know.

use sea_orm::entity::prelude::*;
use sea_orm::sea_query::OnConflict;
use sea_orm::{DatabaseConnection, IntoActiveModel};
use streams::parking::Key;

/// The secret that parked messages are signed with.
const PARKING: &str = "parking";
/// Bytes of a secret.
const LENGTH: usize = 32;

/// A secret's row. It is read here alone, and never logged.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "engine_secrets")]
#[allow(missing_docs)] // the columns are described above
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub name: String,
    /// In hexadecimal digits.
    pub secret: String,
    pub created_ms: i64,
}

impl ActiveModelBehavior for ActiveModel {}

/// The key that all engines on this database sign with; the first one makes it.
pub(crate) async fn parking_key(db: &DatabaseConnection, now_ms: i64) -> Result<Key, DbErr> {
    if let Some(row) = Entity::find_by_id(PARKING.to_owned()).one(db).await? {
        return Ok(Key::new(row.secret.as_bytes()));
    }
    let bytes: [u8; LENGTH] = rand::random();
    let secret = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let row = Model { name: PARKING.to_owned(), secret, created_ms: now_ms };
    let once = OnConflict::column(Column::Name).do_nothing().to_owned();
    Entity::insert_many([row.into_active_model()]).on_conflict(once).try_insert().exec_without_returning(db).await?;
    let row = Entity::find_by_id(PARKING.to_owned()).one(db).await?; // another engine's, where that was first
    row.map(|row| Key::new(row.secret.as_bytes())).ok_or_else(|| DbErr::RecordNotFound(PARKING.to_owned()))
}
