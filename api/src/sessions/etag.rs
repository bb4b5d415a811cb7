//! What a session's `ETag` says, and what can be asked on condition of it.
//!
//! `"<generation>.<revision>"`: the revision is where the session's log stands, so every change that is logged is a new tag.
//! `If-Match` asks less than that: that nobody has asked for something else or amended it since. What its controller reported
//! meanwhile is no hindrance, or else nothing could be asked of a session that is on its way.

use engine::store::session;
use engine::writer::Stands;

use crate::problem::Problem;

/// The tag of a session as it stands.
pub(crate) fn etag(row: &session::Model) -> String {
    format(row.generation, row.entity_seq)
}

pub(crate) fn format(generation: i64, revision: i64) -> String {
    format!("\"{generation}.{revision}\"")
}

/// Reads `If-Match`.
pub(super) fn if_match(header: Option<&str>) -> Result<Option<Stands>, Problem> {
    let Some(text) = header else { return Ok(None) };
    if text.trim() == "*" {
        return Ok(Some(Stands::Anywhere));
    }
    // a weak tag never matches (RFC 9110, 13.1.1), so it cannot be meant
    let places: Option<Vec<_>> = text.split(',').map(|tag| place(tag.trim())).collect();
    places.map(Stands::At).map(Some).ok_or_else(|| {
        let rule = format!("{text:?} is not an ETag of a session");
        Problem::parameter("If-Match", rule, "send an ETag as it came, \"<generation>\" alone, or *")
    })
}

fn place(tag: &str) -> Option<(i64, Option<i64>)> {
    let number = |text: &str| text.parse().ok().filter(|number| *number >= 0);
    let tag = tag.strip_prefix('"')?.strip_suffix('"')?;
    match tag.split_once('.') {
        Some((generation, revision)) => Some((number(generation)?, Some(number(revision)?))),
        None => Some((number(tag)?, None)),
    }
}

/// Whether `If-None-Match` names the session as it stands.
pub(super) fn none_match(header: Option<&str>, row: &session::Model) -> bool {
    let now = etag(row);
    let named = |tag: &str| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == now;
    header.is_some_and(|text| text.split(',').any(|tag| named(tag.trim())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn if_match_takes_a_tag_a_generation_or_anything_and_refuses_the_rest() {
        let places = |places: &[(i64, Option<i64>)]| Some(Stands::At(places.to_vec()));
        assert_eq!(if_match(None).ok(), Some(None));
        assert_eq!(if_match(Some("*")).ok(), Some(Some(Stands::Anywhere)));
        assert_eq!(if_match(Some("\"3.17\"")).ok(), Some(places(&[(3, Some(17))])));
        assert_eq!(if_match(Some("\"3\" , \"4.1\"")).ok(), Some(places(&[(3, None), (4, Some(1))])));
        for wrong in ["", "3.17", "\"a\"", "\"3.\"", "W/\"3.17\"", "\"-1\"", "\"3.17\",", "\"1.2.3\""] {
            assert!(if_match(Some(wrong)).is_err(), "{wrong}");
        }
    }
}
