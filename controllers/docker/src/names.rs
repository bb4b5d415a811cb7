//! Names and labels of what this driver makes. Names derive from the installation and the session, so that making what exists
//! adopts it; labels hold what never changes.

use std::collections::HashMap;

use sha2::{Digest, Sha256};
use uuid::Uuid;

pub(crate) const INSTALLATION: &str = "space.stream.installation";
pub(crate) const CONTROLLER: &str = "space.stream.controller";
pub(crate) const ROLE: &str = "space.stream.role";
pub(crate) const SESSION: &str = "space.stream.session";
pub(crate) const USER: &str = "space.stream.user";
pub(crate) const TEMPLATE: &str = "space.stream.template";
pub(crate) const GENERATION: &str = "space.stream.generation";
pub(crate) const GOAL: &str = "space.stream.goal";
pub(crate) const SPEC: &str = "space.stream.spec";
pub(crate) const IMAGE: &str = "space.stream.image";
pub(crate) const HOME: &str = "space.stream.home";
pub(crate) const SHARES_HOME: &str = "space.stream.shares-home";
pub(crate) const WORLD: &str = "space.stream.world";

/// What a container or volume is to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// The container of a session.
    Session,
    /// An empty volume that holds goal and generation.
    Mark,
    /// A volume that goes with its session.
    Scratch,
    /// A volume that is a user's.
    Home,
    /// An empty volume that holds the identity of all that we have in this engine.
    Inventory,
}

impl Role {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::Mark => "mark",
            Self::Scratch => "scratch",
            Self::Home => "home",
            Self::Inventory => "inventory",
        }
    }
}

pub(crate) type Labels = HashMap<String, String>;

/// Names of one installation.
#[derive(Debug, Clone)]
pub(crate) struct Names {
    pub(crate) installation: String,
    /// How every name begins.
    base: String,
}

impl Names {
    pub(crate) fn new(installation: &str) -> Self {
        let plain = slug(installation, 24);
        let base = if plain == installation { plain } else { format!("{plain}-{}", hash(&[installation], 8)) };
        Self { installation: installation.to_owned(), base }
    }

    pub(crate) fn container(&self, session: Uuid) -> String {
        format!("{}-{session}", self.base)
    }

    pub(crate) fn mark(&self, session: Uuid, generation: i64) -> String {
        format!("{}.g{generation}", self.container(session))
    }

    pub(crate) fn scratch(&self, session: Uuid, path: &str) -> String {
        format!("{}.{}-{}", self.container(session), slug(path, 24), hash(&[path], 8))
    }

    /// Two users never share one, however alike their ids look.
    pub(crate) fn home(&self, user: &str) -> String {
        format!("{}-home-{}-{}", self.base, slug(user, 24), hash(&[&self.installation, user], 16))
    }

    pub(crate) fn inventory(&self) -> String {
        format!("{}.inventory", self.base)
    }

    /// Labels that everything of ours has.
    pub(crate) fn labels<'a>(&self, role: Role, more: impl IntoIterator<Item = (&'a str, String)>) -> Labels {
        let ours = [(INSTALLATION, self.installation.clone()), (ROLE, role.as_str().to_owned())];
        ours.into_iter().chain(more).map(|(name, value)| (name.to_owned(), value)).collect()
    }

    /// A filter of the engine for what is ours, by role and further labels.
    pub(crate) fn filter(&self, role: Role, session: Option<Uuid>) -> HashMap<String, Vec<String>> {
        let mut labels = vec![format!("{INSTALLATION}={}", self.installation), format!("{ROLE}={}", role.as_str())];
        labels.extend(session.map(|session| format!("{SESSION}={session}")));
        HashMap::from([("label".to_owned(), labels)])
    }
}

/// Letters and digits of a text, the rest as single dashes; never empty.
fn slug(text: &str, most: usize) -> String {
    let mut slug = String::new();
    for c in text.chars().map(|c| c.to_ascii_lowercase()) {
        if slug.len() >= most {
            break;
        }
        match c {
            'a'..='z' | '0'..='9' => slug.push(c),
            _ if !slug.is_empty() && !slug.ends_with('-') => slug.push('-'),
            _ => {}
        }
    }
    let slug = slug.trim_end_matches('-');
    if slug.is_empty() { "x".into() } else { slug.to_owned() }
}

/// Hexadecimal digits of a hash over parts that cannot run into each other.
fn hash(parts: &[&str], digits: usize) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect::<String>().chars().take(digits).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_that_look_alike_never_share_a_home_and_every_name_is_legal() {
        let users = ["a.b", "a-b", "A.B", "a b", "ä", "", "../../etc", "用户", "a\u{0}b", &"x".repeat(500)];
        let names = ["streamspace", "Streamspace", "élan", ""].map(Names::new);
        let homes = names.iter().flat_map(|names| users.iter().map(|user| names.home(user))).collect::<Vec<_>>();
        let different = homes.iter().collect::<std::collections::HashSet<_>>();
        assert_eq!(different.len(), homes.len(), "{homes:?}");
        let legal = |name: &str| {
            name.len() <= 128
                && name.starts_with(|c: char| c.is_ascii_alphanumeric())
                && name.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c))
        };
        let marks = names.iter().map(|names| names.mark(Uuid::nil(), i64::MAX));
        let scratch = names.iter().map(|names| names.scratch(Uuid::nil(), "/a b/ü"));
        for name in homes.iter().cloned().chain(marks).chain(scratch).chain(names.iter().map(Names::inventory)) {
            assert!(legal(&name), "{name}");
        }
        assert_eq!(Names::new("streamspace").container(Uuid::nil()), format!("streamspace-{}", Uuid::nil()));
    }
}
