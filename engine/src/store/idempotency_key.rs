//! The table `idempotency_keys`: what a request was answered, for the same request sent again.

use sea_orm::entity::prelude::*;

use super::text::Text;

/// An answer that is kept.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "idempotency_keys")]
#[allow(missing_docs)] // the columns are described in the migration
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub principal: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub key: String,
    pub request_hash: String,
    #[sea_orm(column_type = "JsonBinary")]
    pub answer: Text,
    pub created_ms: i64,
}

impl ActiveModelBehavior for ActiveModel {}
