//! Pagination.
//!
//! A cursor contains the position of the row that its page adjoins, in the order of its list, so pages neither
//! skip nor repeat rows while others write. It is opaque and only valid for its own list. Lists that only grow
//! are read forwards ([`Page`]); those whose rows change are also read backwards and followed ([`live`]).

mod live;

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use engine::events::{BadPattern, Pattern};
use engine::use_cases::{PAGE_BYTES, Rows, Seek, weight};
use poem_openapi::Object;
use poem_openapi::registry::{MetaSchema, MetaSchemaRef};
use poem_openapi::types::{ParseError, ParseFromJSON, ParseFromParameter, ParseResult, ToJSON, Type};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::param_types::Subject;
use crate::problem::Problem;

pub(crate) use live::{LivePage, Window};

const DEFAULT_LIMIT: u32 = 50;
const MAX_LIMIT: u32 = 200;

/// Page size. Only described here; [`Wanted::new`] refuses values out of range with its own message.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limit(u32);

impl Type for Limit {
    const IS_REQUIRED: bool = true;
    type RawValueType = Self;
    type RawElementValueType = Self;

    fn name() -> Cow<'static, str> {
        "limit".into()
    }

    fn schema_ref() -> MetaSchemaRef {
        MetaSchemaRef::Inline(Box::new(MetaSchema {
            minimum: Some(1.0),
            maximum: Some(f64::from(MAX_LIMIT)),
            default: Some(DEFAULT_LIMIT.into()),
            ..MetaSchema::new_with_format("integer", "uint32")
        }))
    }

    fn as_raw_value(&self) -> Option<&Self> {
        Some(self)
    }

    fn raw_element_iter<'a>(&'a self) -> Box<dyn Iterator<Item = &'a Self> + 'a> {
        Box::new(std::iter::once(self))
    }
}

impl ParseFromParameter for Limit {
    fn parse_from_parameter(value: &str) -> ParseResult<Self> {
        let whole = value.parse().map(Self);
        whole.map_err(|_| ParseError::custom(format!("must be from 1 to {MAX_LIMIT}, not {value:?}")))
    }
}

/// A page of a list.
#[derive(Debug, Object, Serialize)]
pub(crate) struct Page<T: Type + ParseFromJSON + ToJSON> {
    /// Items of this page.
    pub(crate) items: Vec<T>,
    /// Pass it as `cursor` to get the next page; null on the last one.
    pub(crate) next_cursor: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct Cursor<P> {
    list: String,
    /// Digest of the list's filters and order.
    #[serde(default)]
    of: String,
    /// An older server refuses one that leads backwards, because it knows `after` only.
    #[serde(flatten)]
    seek: Seek<P>,
}

/// A request for a page.
#[derive(Debug)]
pub(crate) struct Wanted<P> {
    list: &'static str,
    of: String,
    limit: usize,
    pub(crate) after: Option<P>,
}

impl<P: Clone + Serialize + DeserializeOwned> Wanted<P> {
    /// Parses `limit` and `cursor` of a list with these filters and order.
    pub(crate) fn new(
        list: &'static str,
        narrowed: &impl Serialize,
        limit: Option<Limit>,
        cursor: Option<&str>,
    ) -> Result<Self, Problem> {
        let (limit, of) = (rows(limit)?, digest(narrowed));
        let after = cursor.map(|cursor| read(list, &of, cursor)).transpose()?.map(|seek| match seek {
            Seek::After(row) => Ok(row),
            Seek::Before(_) => Err(foreign(list)), // this list has no previous pages, so nobody got this one here
        });
        Ok(Self { list, of, limit, after: after.transpose()? })
    }

    /// Rows to fetch: one more than the page, to see whether there is a next one.
    pub(crate) fn fetch(&self) -> u64 {
        self.limit as u64 + 1
    }

    /// Builds a page from fetched rows: as many as requested, unless they are too large together.
    pub(crate) fn page<R, T>(&self, rows: impl Into<Rows<R>>, key: impl Fn(&R) -> P, show: impl Fn(R) -> T) -> Page<T>
    where
        T: Type + ParseFromJSON + ToJSON + Serialize,
    {
        let Fit { items, ends, more } = Fit::new(rows.into(), self.limit, key, show);
        let last = ends.filter(|_| more).map(|(_, last)| last);
        Page { items, next_cursor: last.map(|last| write(self.list, &self.of, Seek::After(last))) }
    }
}

/// The rows that fit on a page, in the order in which they were read.
struct Fit<P, T> {
    items: Vec<T>,
    /// Positions of the first and the last one.
    ends: Option<(P, P)>,
    /// Further rows follow.
    more: bool,
}

impl<P: Clone, T: Serialize> Fit<P, T> {
    fn new<R>(rows: Rows<R>, limit: usize, key: impl Fn(&R) -> P, show: impl Fn(R) -> T) -> Self {
        let Rows { rows, cut } = rows;
        let fetched = rows.len();
        let (mut items, mut ends, mut bytes) = (Vec::new(), None, 0);
        for row in rows.into_iter().take(limit) {
            let at = key(&row);
            let item = show(row);
            bytes += weight(&item);
            if bytes > PAGE_BYTES && ends.is_some() {
                break; // the first is always included, so that reading can continue
            }
            ends = Some((ends.map_or_else(|| at.clone(), |(first, _)| first), at));
            items.push(item);
        }
        let more = items.len() < fetched || cut;
        Self { items, ends, more }
    }
}

/// The rows that a page has at most.
fn rows(limit: Option<Limit>) -> Result<usize, Problem> {
    let limit = limit.map_or(DEFAULT_LIMIT, |limit| limit.0);
    if (1..=MAX_LIMIT).contains(&limit) {
        return Ok(limit as usize);
    }
    let rule = format!("must be from 1 to {MAX_LIMIT}, not {limit}");
    Err(Problem::parameter("limit", rule, "use a smaller limit, and follow next_cursor"))
}

/// Parses a filter by subject.
pub(crate) fn subject(text: Option<Subject>) -> Result<Option<Pattern>, Problem> {
    let wrong = |bad: BadPattern| Problem::parameter("subject", bad.to_string(), "write it as streamspace.session.>");
    text.map(|text| Pattern::try_from(text.0)).transpose().map_err(wrong)
}

/// A digest of the filters of a list.
fn digest(narrowed: &impl Serialize) -> String {
    let digest = Sha256::digest(serde_json::to_vec(narrowed).unwrap_or_default());
    URL_SAFE_NO_PAD.encode(&digest[..9])
}

fn write<P: Serialize>(list: &str, of: &str, seek: Seek<P>) -> String {
    let cursor = Cursor { list: list.to_owned(), of: of.to_owned(), seek };
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(&cursor).unwrap_or_default())
}

fn read<P: DeserializeOwned>(list: &str, of: &str, text: &str) -> Result<Seek<P>, Problem> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok();
    // a forged cursor is input from outside as well, and part of a statement
    let cursor = bytes.and_then(|bytes| streams::limits::json::document(&bytes).ok());
    let cursor = cursor.and_then(|cursor| serde_json::from_value::<Cursor<P>>(cursor).ok());
    let cursor = cursor.filter(|cursor| cursor.list == list).ok_or_else(|| foreign(list))?;
    if cursor.of == of {
        Ok(cursor.seek)
    } else {
        Err(wrong("belongs to a list with other filters or another order".into()))
    }
}

fn foreign(list: &str) -> Problem {
    wrong(format!("is not a cursor of the list of {list}"))
}

fn wrong(rule: String) -> Problem {
    let hint = "use a cursor of this list with the same filters and order, or leave cursor out to start again";
    Problem::parameter("cursor", rule, hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_bounded_in_bytes_and_says_where_it_goes_on() {
        let wanted = |cursor: Option<&str>| Wanted::<usize>::new("texts", &(), None, cursor).ok();
        let rows = || (0..10).map(|n| (n, "x".repeat(1 << 20))).collect::<Vec<_>>();
        let page = wanted(None).map(|wanted| wanted.page(rows(), |row| row.0, |row| row.1));
        let page = page.unwrap_or(Page { items: vec![], next_cursor: None });
        assert_eq!(page.items.len(), 3, "four of 1 MiB and their quotes are more than 4 MiB");
        let after = page.next_cursor.as_deref().and_then(|cursor| wanted(Some(cursor))?.after);
        assert_eq!(after, Some(2));
        let huge = wanted(None).map(|wanted| wanted.page(vec![(7, "x".repeat(9 << 20))], |row| row.0, |row| row.1));
        assert_eq!(huge.map(|page| (page.items.len(), page.next_cursor)), Some((1, None)), "one is always shown");
    }

    #[test]
    fn a_cursor_is_read_back_by_its_own_list_and_filter_only() {
        let (all, some) = (digest(&None::<&str>), digest(&Some("Graphics")));
        let cursor = write("templates", &all, Seek::After("firefox".to_owned()));
        assert_eq!(read::<String>("templates", &all, &cursor).ok(), Some(Seek::After("firefox".into())));
        for refused in [("controllers", &all, &*cursor), ("templates", &some, &cursor), ("templates", &all, "x!")] {
            assert!(read::<String>(refused.0, refused.1, refused.2).is_err(), "{refused:?}");
        }
    }
}
