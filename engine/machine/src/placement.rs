//! Which controller gets a session or an application: the right platform and lane, healthy, able, with room left.

use crate::Lane;

/// What placement knows of one controller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Who.
    pub controller_id: String,
    /// What it drives.
    pub platform: String,
    /// How it is reached.
    pub lane: Lane,
    /// Healthy, breaker not open, not revoked.
    pub ready: bool,
    /// Why not, where it is not.
    pub reason: Option<String>,
    /// What it is wanted for: `sessions` or `applications`.
    pub domain: &'static str,
    /// Serves that.
    pub able: bool,
    /// Sessions that it holds or was given.
    pub load: u32,
    /// Sessions that it can hold; `None` where it did not say.
    pub room: Option<u32>,
}

/// The answer, with the reason that is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// This one.
    Chosen {
        /// Who.
        controller_id: String,
        /// How it is reached.
        lane: Lane,
    },
    /// Nobody now; it waits with this reason.
    Wait(String),
}

/// Chooses the least loaded controller of a platform; the core lane, where it exists, has its platform alone.
#[must_use]
pub fn choose(platform: &str, candidates: &[Candidate]) -> Place {
    let mine: Vec<&Candidate> = candidates.iter().filter(|c| c.platform == platform).collect();
    if mine.is_empty() {
        return Place::Wait(format!("no controller of platform {platform} has ever reported; start one"));
    }
    let core = mine.iter().any(|c| c.lane == Lane::Core && c.ready);
    let usable = |c: &&&Candidate| c.ready && c.able && (!core || c.lane == Lane::Core);
    let with_room = |c: &&&Candidate| c.room.is_none_or(|room| c.load < room);
    let fullness =
        |c: &&&Candidate| (u64::from(c.load) * 1_000_000 / u64::from(c.room.unwrap_or(u32::MAX).max(1)), c.load);
    let best = mine.iter().filter(usable).filter(with_room).min_by_key(|c| (fullness(c), c.controller_id.clone()));
    match best {
        Some(c) => Place::Chosen { controller_id: c.controller_id.clone(), lane: c.lane },
        None => Place::Wait(why_not(platform, &mine)),
    }
}

fn why_not(platform: &str, candidates: &[&Candidate]) -> String {
    let each: Vec<String> = candidates
        .iter()
        .map(|c| {
            let why = match (c.ready, c.able, c.room) {
                (false, ..) => c.reason.clone().unwrap_or_else(|| "unhealthy".into()),
                (_, false, _) => format!("does not serve {}", c.domain),
                (_, _, Some(room)) if c.load >= room => format!("full ({room} sessions)"),
                _ => "another controller has this platform in the core lane".into(),
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
    fn a_core_controller_has_its_platform_alone() {
        let mut core = candidate("z", 9, None, true);
        core.lane = Lane::Core;
        assert_eq!(chosen(choose("local", &[candidate("a", 0, None, true), core])), "z");
    }
}
