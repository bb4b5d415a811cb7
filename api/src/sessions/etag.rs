//! The `ETag` of a session, and the conditions on it.
//!
//! `"<generation>.<revision>"`: the revision is the position in the session's log, so every logged change gives
//! a new tag. `If-Match` is weaker: no other request has changed or amended the session since. Reports of its
//! controller do not count, otherwise nothing could be requested for a session in transition.

use engine::store::session;
use engine::use_cases::Stands;

use crate::problem::Problem;

/// The present tag of a session.
pub(crate) fn etag(row: &session::Model) -> String {
    format(row.generation, row.entity_seq)
}

pub(crate) fn format(generation: i64, revision: i64) -> String {
    format!("\"{generation}.{revision}\"")
}

/// Parses `If-Match`.
pub(super) fn if_match(header: Option<&str>) -> Result<Option<Stands>, Problem> {
    let Some(text) = header else { return Ok(None) };
    if text.trim() == "*" {
        return Ok(Some(Stands::Anywhere));
    }
    // a weak tag never matches (RFC 9110, 13.1.1), so it is a mistake
    let strong = |tag: &Tag<'_>| if tag.weak { None } else { place(tag.opaque) };
    let places: Option<Vec<_>> = tags(text).and_then(|tags| tags.iter().map(strong).collect());
    places.map(Stands::At).map(Some).ok_or_else(|| {
        let rule = format!("{text:?} is not an ETag of a session");
        Problem::parameter("If-Match", rule, "send an ETag unchanged, \"<generation>\" alone, or *")
    })
}

/// An entity tag of RFC 9110, 8.8.3.
#[derive(Debug, PartialEq, Eq)]
struct Tag<'a> {
    weak: bool,
    opaque: &'a str,
}

/// Parses a list of tags, which may contain commas.
fn tags(text: &str) -> Option<Vec<Tag<'_>>> {
    let (mut rest, mut tags) = (text.trim(), Vec::new());
    loop {
        let weak = rest.starts_with("W/");
        let (opaque, after) = rest.strip_prefix("W/").unwrap_or(rest).strip_prefix('"')?.split_once('"')?;
        if !opaque.bytes().all(|byte| byte == b'!' || (0x23..=0x7e).contains(&byte)) {
            return None;
        }
        tags.push(Tag { weak, opaque });
        match after.trim_start() {
            "" => return Some(tags),
            after => rest = after.strip_prefix(',')?.trim_start(),
        }
    }
}

fn place(tag: &str) -> Option<(i64, Option<i64>)> {
    // only as this server writes it, so that one that merely looks alike is refused
    let number = |text: &str| text.parse::<i64>().ok().filter(|number| *number >= 0 && number.to_string() == text);
    match tag.split_once('.') {
        Some((generation, revision)) => Some((number(generation)?, Some(number(revision)?))),
        None => Some((number(tag)?, None)),
    }
}

/// Whether `If-None-Match` contains the session's present tag.
pub(super) fn none_match(header: Option<&str>, row: &session::Model) -> Result<bool, Problem> {
    let Some(text) = header else { return Ok(false) };
    if text.trim() == "*" {
        return Ok(true);
    }
    let now = etag(row);
    let tags = tags(text).ok_or_else(|| {
        let rule = format!("{text:?} is not a list of ETags");
        Problem::parameter("If-None-Match", rule, "send an ETag unchanged, with its quotes, or *")
    })?;
    Ok(tags.iter().any(|tag| now.trim_matches('"') == tag.opaque))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_tags_is_read_as_its_standard_has_it() {
        let tag = |weak, opaque| Tag { weak, opaque };
        assert_eq!(tags("\"a,b\", W/\"\""), Some(vec![tag(false, "a,b"), tag(true, "")]));
        for wrong in ["", "a", "\"a", "\"a\" \"b\"", "\"a\",", "w/\"a\"", "\"\u{e9}\"", "*"] {
            assert_eq!(tags(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn if_match_takes_a_tag_a_generation_or_anything_and_refuses_the_rest() {
        let places = |places: &[(i64, Option<i64>)]| Some(Stands::At(places.to_vec()));
        assert_eq!(if_match(None).ok(), Some(None));
        assert_eq!(if_match(Some("*")).ok(), Some(Some(Stands::Anywhere)));
        assert_eq!(if_match(Some("\"3.17\"")).ok(), Some(places(&[(3, Some(17))])));
        assert_eq!(if_match(Some("\"3\" , \"4.1\"")).ok(), Some(places(&[(3, None), (4, Some(1))])));
        for wrong in [
            "",
            "3.17",
            "\"a\"",
            "\"3.\"",
            "W/\"3.17\"",
            "\"-1\"",
            "\"3.17\",",
            "\"1.2.3\"",
            "\"+3\"",
            "\"03\"",
            "*, \"3\"",
            "\"3\" \"4\"",
        ] {
            assert!(if_match(Some(wrong)).is_err(), "{wrong}");
        }
    }
}
