//! The table `controller_announcements`: what each controller says about its platform.
//!
//! A cache of the controllers' own words, which they repeat: neither logged nor folded.

use sea_orm::entity::prelude::*;
use sea_orm::sea_query::OnConflict;
use sea_orm::{
    ActiveValue, DatabaseConnection, FromQueryResult, IntoActiveModel, QueryOrder, QuerySelect, QueryTrait as _,
};

use super::controller;

/// The announcement of one controller.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "controller_announcements")]
#[allow(missing_docs)] // the fields are those of a heartbeat
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub controller_id: String,
    pub platform: String,
    pub schema_hash: Option<String>,
    /// The schema of that hash, once the controller has answered with it.
    #[sea_orm(column_type = "JsonBinary", nullable)]
    pub template_schema: Option<Json>,
    #[sea_orm(column_type = "JsonBinary")]
    pub attributes: Json,
    pub keeps: Option<String>,
}

impl ActiveModelBehavior for ActiveModel {}

/// The same without the schema itself.
#[derive(Debug, Clone, PartialEq, FromQueryResult)]
pub(crate) struct Announcement {
    pub(crate) controller_id: String,
    pub(crate) platform: String,
    pub(crate) schema_hash: Option<String>,
    pub(crate) attributes: Json,
    pub(crate) keeps: Option<String>,
    /// The schema is stored.
    pub(crate) has_schema: bool,
}

impl Announcement {
    /// The row, without its schema.
    pub(crate) fn model(&self) -> Model {
        Model {
            controller_id: self.controller_id.clone(),
            platform: self.platform.clone(),
            schema_hash: self.schema_hash.clone(),
            template_schema: None,
            attributes: self.attributes.clone(),
            keeps: self.keeps.clone(),
        }
    }
}

/// All announcements, by controller.
pub(crate) async fn all(db: &DatabaseConnection) -> Result<Vec<Announcement>, DbErr> {
    Entity::find()
        .select_only()
        .columns([Column::ControllerId, Column::Platform, Column::SchemaHash, Column::Attributes, Column::Keeps])
        .column_as(Column::TemplateSchema.is_not_null(), "has_schema")
        .order_by_asc(Column::ControllerId)
        .into_model()
        .all(db)
        .await
}

/// A stored schema of this hash that a controller of the platform has answered with.
pub(crate) async fn schema(db: &DatabaseConnection, platform: &str, hash: &str) -> Result<Option<Json>, DbErr> {
    let row = Entity::find()
        .filter(Column::Platform.eq(platform))
        .filter(Column::SchemaHash.eq(hash))
        .filter(Column::TemplateSchema.is_not_null())
        .one(db)
        .await?;
    Ok(row.and_then(|row| row.template_schema))
}

/// Writes an announcement in place of the controller's last one.
pub(crate) async fn put(db: &DatabaseConnection, row: Model) -> Result<(), DbErr> {
    let rest = [Column::Platform, Column::SchemaHash, Column::TemplateSchema, Column::Attributes, Column::Keeps];
    let replace = OnConflict::column(Column::ControllerId).update_columns(rest).to_owned();
    Entity::insert(row.into_active_model()).on_conflict(replace).exec_without_returning(db).await.map(drop)
}

/// Stores the schema of a hash, unless the controller has announced another one since.
pub(crate) async fn put_schema(
    db: &DatabaseConnection,
    controller_id: &str,
    hash: &str,
    schema: Json,
) -> Result<(), DbErr> {
    let schema = ActiveModel { template_schema: ActiveValue::Set(Some(schema)), ..Default::default() };
    Entity::update_many()
        .set(schema)
        .filter(Column::ControllerId.eq(controller_id))
        .filter(Column::SchemaHash.eq(hash))
        .exec(db)
        .await
        .map(drop)
}

/// Deletes the announcements of controllers that have no row any more.
pub(crate) async fn prune(db: &DatabaseConnection) -> Result<(), DbErr> {
    let known = controller::Entity::find().select_only().column(controller::Column::ControllerId).into_query();
    Entity::delete_many().filter(Column::ControllerId.not_in_subquery(known)).exec(db).await.map(drop)
}
