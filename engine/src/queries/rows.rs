//! Rows of a page that are large by themselves: read one at a time, until they weigh as much as a page may.

use futures::TryStreamExt;
use sea_orm::{DatabaseConnection, DbErr, EntityTrait, Select};
use serde::Serialize;

/// Bytes that the rows of one page may have, as JSON. The row that crosses it is the last.
pub const PAGE_BYTES: usize = 4 << 20;

/// The rows of a page.
#[derive(Debug)]
pub struct Rows<M> {
    /// As far as they were read.
    pub rows: Vec<M>,
    /// They weighed too much, and more may follow.
    pub cut: bool,
}

impl<M> From<Vec<M>> for Rows<M> {
    fn from(rows: Vec<M>) -> Self {
        Self { rows, cut: false }
    }
}

/// Reads what is selected; `weigh` tells how many bytes a row has.
pub(crate) async fn bounded<E>(
    db: &DatabaseConnection,
    select: Select<E>,
    weigh: impl Fn(&E::Model) -> usize,
) -> Result<Rows<E::Model>, DbErr>
where
    E: EntityTrait,
    E::Model: Send,
{
    let mut stream = select.stream(db).await?;
    let (mut rows, mut bytes) = (Vec::new(), 0);
    while let Some(row) = stream.try_next().await? {
        bytes += weigh(&row);
        rows.push(row);
        if bytes > PAGE_BYTES {
            return Ok(Rows { rows, cut: true });
        }
    }
    Ok(rows.into())
}

/// Bytes of something as JSON.
#[must_use]
pub fn weight(of: &impl Serialize) -> usize {
    let mut count = Count(0);
    let _ = serde_json::to_writer(&mut count, of); // what cannot be JSON weighs as far as it can
    count.0
}

struct Count(usize);

impl std::io::Write for Count {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_something_weighs_is_its_json() {
        assert_eq!(weight(&serde_json::json!({ "a": "xyz" })), r#"{"a":"xyz"}"#.len());
    }
}
