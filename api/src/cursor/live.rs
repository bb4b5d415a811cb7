//! Pages of lists whose rows change: they lead both ways, and say from where the feed continues them.

use engine::use_cases::{Rows, Seek, UseCases};
use poem_openapi::Object;
use poem_openapi::types::{ParseFromJSON, ToJSON, Type};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Fit, Limit, digest, read, rows, write};
use crate::problem::Problem;

/// A page of a list that can be followed.
#[derive(Debug, Object, Serialize)]
pub(crate) struct LivePage<T: Type + ParseFromJSON + ToJSON> {
    /// Items of this page.
    items: Vec<T>,
    /// Pass it as `cursor` to get the next page; null on the last one.
    next_cursor: Option<String>,
    /// Pass it as `cursor` to get the previous page; null on the first one.
    prev_cursor: Option<String>,
    /// The position of the feed when the page was read: `/stream?after=<position>` brings every later change. It
    /// may repeat changes that the page has already; `revision` or `updated_at` of a row tells them apart.
    position: String,
}

/// A request for a page of a list that can be followed.
#[derive(Debug)]
pub(crate) struct Window<P> {
    list: &'static str,
    of: String,
    limit: usize,
    seek: Option<Seek<P>>,
    position: String,
}

impl<P: Clone + Serialize + DeserializeOwned> Window<P> {
    /// Parses `limit` and `cursor` of a list with these filters and order, and takes the position of the feed.
    /// The rows have to be read after it: a change between the two is repeated by the feed rather than missed.
    pub(crate) async fn open(
        acting: &UseCases<'_>,
        list: &'static str,
        narrowed: &impl Serialize,
        limit: Option<Limit>,
        cursor: Option<&str>,
    ) -> Result<Self, Problem> {
        let (limit, of) = (rows(limit)?, digest(narrowed));
        let seek = cursor.map(|cursor| read(list, &of, cursor)).transpose()?;
        let position = acting.feed_position().await?.to_string();
        Ok(Self { list, of, limit, seek, position })
    }

    /// The row that the page adjoins; none for the first page.
    pub(crate) fn seek(&self) -> Option<Seek<P>> {
        self.seek.clone()
    }

    /// Rows to fetch: one more than the page, to see whether there are further ones.
    pub(crate) fn fetch(&self) -> u64 {
        self.limit as u64 + 1
    }

    /// Builds a page from fetched rows, which are in the order in which [`Seek`] reads them.
    pub(crate) fn page<R, T>(
        &self,
        rows: impl Into<Rows<R>>,
        key: impl Fn(&R) -> P,
        show: impl Fn(R) -> T,
    ) -> LivePage<T>
    where
        T: Type + ParseFromJSON + ToJSON + Serialize,
    {
        let Fit { mut items, ends, more } = Fit::new(rows.into(), self.limit, key, show);
        let (prev, next) = match (&self.seek, ends) {
            (Some(Seek::Before(_)), Some((nearest, farthest))) => {
                items.reverse();
                (more.then_some(farthest), Some(nearest))
            }
            (seek, Some((first, last))) => (seek.is_some().then_some(first), more.then_some(last)),
            // nothing is left there: the row that the page adjoined leads back
            (Some(Seek::Before(row)), None) => (None, Some(row.clone())),
            (Some(Seek::After(row)), None) => (Some(row.clone()), None),
            (None, None) => (None, None),
        };
        let cursor = |seek| write(self.list, &self.of, seek);
        LivePage {
            items,
            next_cursor: next.map(|row| cursor(Seek::After(row))),
            prev_cursor: prev.map(|row| cursor(Seek::Before(row))),
            position: self.position.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: usize = 3;

    fn window(seek: Option<Seek<u32>>) -> Window<u32> {
        let position = "1.2.00000003".to_owned();
        Window { list: "numbers", of: digest(&()), limit: LIMIT, seek, position }
    }

    /// A page of the numbers from 0 to 9, with the seeks of its cursors.
    fn page(seek: Option<Seek<u32>>) -> (Vec<u32>, Option<Seek<u32>>, Option<Seek<u32>>) {
        let rows: Vec<u32> = match seek {
            None => (0..10).take(LIMIT + 1).collect(),
            Some(Seek::After(row)) => (row + 1..10).take(LIMIT + 1).collect(),
            Some(Seek::Before(row)) => (0..row).rev().take(LIMIT + 1).collect(),
        };
        let LivePage { items, next_cursor, prev_cursor, .. } = window(seek).page(rows, |row| *row, |row| row);
        let lead = |cursor: Option<String>| cursor.and_then(|text| read("numbers", &digest(&()), &text).ok());
        (items, lead(prev_cursor), lead(next_cursor))
    }

    #[test]
    fn a_list_is_walked_to_its_end_and_back_over_the_same_rows() {
        let (mut there, mut seek) = (Vec::new(), None);
        loop {
            let (items, _, next) = page(seek);
            there.push(items);
            let Some(next) = next else { break };
            seek = Some(next);
        }
        assert_eq!(there, [vec![0, 1, 2], vec![3, 4, 5], vec![6, 7, 8], vec![9]]);
        let (mut back, mut seek) = (Vec::new(), seek);
        while let (_, Some(prev), _) = page(seek) {
            back.push(page(Some(prev)).0);
            seek = Some(prev);
        }
        there.pop();
        there.reverse();
        assert_eq!(back, there);
    }

    #[test]
    fn a_page_whose_rows_are_gone_leads_back_to_those_that_are_left() {
        assert_eq!(page(Some(Seek::After(9))), (vec![], Some(Seek::Before(9)), None));
        assert_eq!(page(Some(Seek::Before(0))), (vec![], None, Some(Seek::After(0))));
    }
}
