//! What a watcher wants to see. Pure: a row passes or not.

use super::item::Item;
use crate::store::event::Kind;

/// All of what is given must be so.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// A whole name as `session:<id>`, or a noun as `session`.
    pub entity: Option<String>,
    /// Whose it is.
    pub user_id: Option<String>,
    /// Commands, reports or decisions.
    pub kind: Option<Kind>,
    /// Where it was said.
    pub subject: Option<Pattern>,
    /// Where it runs.
    pub platform: Option<String>,
}

impl Filter {
    /// Whether a row is to be seen.
    #[must_use]
    pub fn passes(&self, item: &Item) -> bool {
        let same = |wanted: &Option<String>, is: Option<&str>| wanted.is_none() || wanted.as_deref() == is;
        let noun = item.entity.split(':').next();
        (same(&self.entity, Some(&item.entity)) || self.entity.as_deref() == noun)
            && same(&self.user_id, item.user_id.as_deref())
            && same(&self.platform, item.platform.as_deref())
            && self.kind.is_none_or(|kind| kind.as_str() == item.kind)
            && self.subject.as_ref().is_none_or(|pattern| pattern.matches(&item.subject))
    }
}

/// A subject with the wildcards of NATS: `*` is one token, `>` at the end is one or more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern(Vec<String>);

/// Why a pattern is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadPattern {
    /// Two dots in a row, or one at an end.
    #[error("has an empty token")]
    EmptyToken,
    /// NATS knows `>` only there.
    #[error("has > elsewhere than at its end")]
    RestInside,
    /// `ab*` would never match.
    #[error("mixes a wildcard with other characters in one token")]
    Mixed,
    /// Subjects have neither.
    #[error("has spaces or control characters")]
    Space,
}

impl std::str::FromStr for Pattern {
    type Err = BadPattern;

    fn from_str(text: &str) -> Result<Self, BadPattern> {
        let tokens: Vec<String> = text.split('.').map(str::to_owned).collect();
        for (i, token) in tokens.iter().enumerate() {
            match token.as_str() {
                "" => return Err(BadPattern::EmptyToken),
                ">" if i + 1 < tokens.len() => return Err(BadPattern::RestInside),
                ">" | "*" => {}
                token if token.contains(['*', '>']) => return Err(BadPattern::Mixed),
                token if token.contains(|c: char| c.is_whitespace() || c.is_control()) => {
                    return Err(BadPattern::Space);
                }
                _ => {}
            }
        }
        Ok(Self(tokens))
    }
}

impl Pattern {
    /// Whether a subject is one of those.
    #[must_use]
    pub fn matches(&self, subject: &str) -> bool {
        let mut tokens = subject.split('.');
        for wanted in &self.0 {
            match (wanted.as_str(), tokens.next()) {
                (_, None) => return false,
                (">", Some(_)) => return true,
                ("*", Some(_)) => {}
                (wanted, Some(token)) if wanted == token => {}
                _ => return false,
            }
        }
        tokens.next().is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_are_those_of_nats() {
        let matches = |pattern: &str, subject: &str| pattern.parse::<Pattern>().map(|p| p.matches(subject));
        assert_eq!(matches("a.*.c", "a.b.c"), Ok(true));
        assert_eq!(matches("a.>", "a.b.c"), Ok(true));
        assert_eq!(matches("a.>", "a"), Ok(false));
        assert_eq!(matches("a.*", "a.b.c"), Ok(false));
        assert_eq!(matches(">", "a"), Ok(true));
        assert_eq!(matches("a.b", "a.b"), Ok(true));
        assert_eq!(matches("a..b", "a.b"), Err(BadPattern::EmptyToken));
        assert_eq!(matches("a.>.b", "a.b"), Err(BadPattern::RestInside));
        assert_eq!(matches("a.b*", "a.b"), Err(BadPattern::Mixed));
        assert_eq!(matches("a.b c", "a.b"), Err(BadPattern::Space));
    }
}
