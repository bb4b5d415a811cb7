//! Chooses the controller for a session or an application: right platform, lane and labels, healthy, capable,
//! with room.

use serde_json::{Map, Value};

use crate::Lane;

/// A controller as placement sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Its id.
    pub controller_id: String,
    /// Its platform.
    pub platform: String,
    /// Its lane.
    pub lane: Lane,
    /// Healthy, breaker not open, not revoked.
    pub ready: bool,
    /// Why it is not ready.
    pub reason: Option<String>,
    /// The domain that is asked for: `sessions` or `applications`.
    pub domain: &'static str,
    /// Whether it serves that domain.
    pub able: bool,
    /// Labels that it lacks.
    pub unfit: Option<String>,
    /// Number of sessions that it holds or was given.
    pub load: u32,
    /// Maximum number of sessions; `None` if it announced none.
    pub room: Option<u32>,
}

/// The choice, with the reason to show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A controller was chosen.
    Chosen {
        /// Its id.
        controller_id: String,
        /// Its lane.
        lane: Lane,
        /// Why this one; for people.
        why: String,
    },
    /// None is available now; it waits with this reason.
    Wait(String),
}

/// The labels of a selector that a controller lacks.
#[must_use]
pub fn lacks(labels: &Value, selector: &Map<String, Value>) -> Option<String> {
    let missing = selector.iter().filter(|(name, value)| labels.get(name.as_str()) != Some(value));
    let pair = |(name, value): (&String, &Value)| format!("{name}={}", value.as_str().unwrap_or_default());
    let missing: Vec<String> = missing.map(pair).collect();
    (!missing.is_empty()).then(|| format!("its labels lack {}", missing.join(", ")))
}

/// Chooses the least loaded controller of a platform. One of the core lane only gets what no durable one can
/// take now, so it never displaces them.
#[must_use]
pub fn choose(platform: &str, candidates: &[Candidate]) -> Place {
    let mine: Vec<&Candidate> = candidates.iter().filter(|c| c.platform == platform).collect();
    if mine.is_empty() {
        return Place::Wait(format!("no controller of platform {platform} has ever reported; start one"));
    }
    let usable = |c: &&&Candidate| c.ready && c.able && c.unfit.is_none();
    let with_room = |c: &&&Candidate| c.room.is_none_or(|room| c.load < room);
    let fullness =
        |c: &Candidate| (u64::from(c.load) * 1_000_000 / u64::from(c.room.unwrap_or(u32::MAX).max(1)), c.load);
    let fit: Vec<&&Candidate> = mine.iter().filter(usable).filter(with_room).collect();
    let rank = |c: &Candidate| (c.lane == Lane::Core, fullness(c));
    let best = fit.iter().copied().min_by(|a, b| (rank(a), &a.controller_id).cmp(&(rank(b), &b.controller_id)));
    match best {
        Some(c) => Place::Chosen { controller_id: c.controller_id.clone(), lane: c.lane, why: why(c, fit.len()) },
        None => Place::Wait(why_not(platform, &mine)),
    }
}

fn why(chosen: &Candidate, fit: usize) -> String {
    let room = chosen.room.map(|room| format!(" of {room}")).unwrap_or_default();
    let among = if fit == 1 { "the only one that fits".to_owned() } else { format!("the emptiest of {fit} that fit") };
    format!("{among}, with {}{room} sessions", chosen.load)
}

fn why_not(platform: &str, candidates: &[&Candidate]) -> String {
    let each: Vec<String> = candidates
        .iter()
        .map(|c| {
            let why = match (c.ready, c.able, c.room) {
                (false, ..) => c.reason.clone().unwrap_or_else(|| "unhealthy".into()),
                (_, false, _) => format!("does not serve {}", c.domain),
                _ if c.unfit.is_some() => c.unfit.clone().unwrap_or_default(),
                (_, _, Some(room)) if c.load >= room => format!("full ({room} sessions)"),
                _ => "not ready".into(),
            };
            format!("{}: {why}", c.controller_id)
        })
        .collect();
    format!("no controller of platform {platform} can take it now ({})", each.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(id: &str, load: u32, room: Option<u32>, ready: bool) -> Candidate {
        let (controller_id, platform) = (id.to_owned(), "local".to_owned());
        Candidate {
            controller_id,
            platform,
            lane: Lane::Durable,
            ready,
            reason: None,
            domain: "sessions",
            able: true,
            unfit: None,
            load,
            room,
        }
    }

    fn chosen(place: Place) -> String {
        match place {
            Place::Chosen { controller_id, .. } => controller_id,
            Place::Wait(why) => why,
        }
    }

    #[test]
    fn the_relatively_emptiest_ready_controller_wins() {
        let all =
            [candidate("a", 5, Some(10), true), candidate("b", 6, Some(100), true), candidate("c", 0, None, false)];
        assert_eq!(chosen(choose("local", &all)), "b");
    }

    #[test]
    fn who_lacks_a_label_is_passed_over_however_empty_it_is_and_says_what_it_lacks() {
        let unfit =
            |id: &str| Candidate { unfit: Some("its labels lack zone=eu".into()), ..candidate(id, 0, None, true) };
        let fit = candidate("b", 9, Some(10), true);
        let place = choose("local", &[unfit("a"), fit]);
        let Place::Chosen { controller_id, why, .. } = place else { panic!("{place:?}") };
        assert_eq!((controller_id.as_str(), why.as_str()), ("b", "the only one that fits, with 9 of 10 sessions"));
        assert!(chosen(choose("local", &[unfit("a")])).contains("a: its labels lack zone=eu"));
    }

    #[test]
    fn a_selector_asks_for_each_of_its_labels_by_value() {
        let labels = serde_json::json!({ "zone": "eu", "gpu": "yes" });
        let selector = |pairs: Value| lacks(&labels, pairs.as_object().expect("pairs"));
        assert_eq!(selector(serde_json::json!({})), None);
        assert_eq!(selector(serde_json::json!({ "gpu": "yes", "zone": "eu" })), None);
        let lacking = selector(serde_json::json!({ "gpu": "no", "disk": "fast", "zone": "eu" }));
        assert_eq!(lacking.as_deref(), Some("its labels lack disk=fast, gpu=no"));
    }

    #[test]
    fn a_full_or_sick_platform_waits_and_says_who_is_what() {
        let all = [candidate("a", 10, Some(10), true), candidate("b", 0, None, false)];
        let why = chosen(choose("local", &all));
        assert!(why.contains("a: full (10 sessions)") && why.contains("b: unhealthy"), "{why}");
    }

    #[test]
    fn an_unknown_platform_waits_with_the_way_out() {
        assert!(
            chosen(choose("docker", &[candidate("a", 0, None, true)])).contains("no controller of platform docker")
        );
    }

    #[test]
    fn a_core_controller_never_displaces_a_durable_one() {
        let mut core = candidate("z", 9, None, true);
        core.lane = Lane::Core;
        assert_eq!(chosen(choose("local", &[candidate("a", 500, None, true), core.clone()])), "a");
        assert_eq!(
            chosen(choose("local", &[candidate("a", 5, Some(5), true), core.clone()])),
            "z",
            "the other is full"
        );
        assert_eq!(chosen(choose("local", &[core])), "z");
    }
}
