//! The table `stream_epochs`: which incarnation of each stream the log refers to.

use sea_orm::entity::prelude::*;

/// A stream's row.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "stream_epochs")]
#[allow(missing_docs)] // described above
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub name: String,
    pub epoch: i64,
    pub created_at: String,
    pub last_seq: i64,
}

impl ActiveModelBehavior for ActiveModel {}
