//! Where a page lies in the order of its list, by the row that it adjoins.

use sea_orm::sea_query::{Condition, Expr};
use sea_orm::{ColumnTrait, EntityTrait, Order, QueryFilter, QueryOrder, Select, Value};
use serde::{Deserialize, Serialize};

use super::Position;

/// A page adjoins a row on one of its sides. `P` is a row's position in the order of the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Seek<P> {
    /// The rows that follow it.
    After(P),
    /// The rows before it. They are read backwards, the nearest first, so that a page is full however many there are.
    Before(P),
}

impl<P> Seek<P> {
    /// Whether the page is read backwards, and from where.
    pub(crate) fn split(seek: Option<Self>) -> (bool, Option<P>) {
        match seek {
            None => (false, None),
            Some(Self::After(row)) => (false, Some(row)),
            Some(Self::Before(row)) => (true, Some(row)),
        }
    }
}

/// Orders a list by creation, newest first, and by id where that is equal.
pub(super) fn newest_first<E: EntityTrait>(
    select: Select<E>,
    (created_ms, id): (E::Column, E::Column),
    seek: Option<Seek<Position>>,
) -> Select<E> {
    let (backwards, row) = Seek::split(seek);
    let order = if backwards { Order::Asc } else { Order::Desc };
    let select = match row {
        Some((at_ms, row)) => {
            let same = Condition::all().add(created_ms.eq(at_ms)).add(beyond(id, backwards, row));
            select.filter(Condition::any().add(beyond(created_ms, backwards, at_ms)).add(same))
        }
        None => select,
    };
    select.order_by(created_ms, order.clone()).order_by(id, order)
}

/// Orders a list by one column that no two rows share.
pub(super) fn by_name<E: EntityTrait>(select: Select<E>, name: E::Column, seek: Option<Seek<String>>) -> Select<E> {
    let (backwards, row) = Seek::split(seek);
    let select = match row {
        Some(row) => select.filter(beyond(name, !backwards, row)),
        None => select,
    };
    select.order_by(name, if backwards { Order::Desc } else { Order::Asc })
}

fn beyond(column: impl ColumnTrait, greater: bool, value: impl Into<Value>) -> Expr {
    if greater { column.gt(value) } else { column.lt(value) }
}
