//! Whether a heartbeat comes from the host that its id belongs to.
//!
//! An id belongs to the platform, the protocol and the world that it was first heard with. A heartbeat that says less than what is
//! known, or something else, comes from an impostor or from a host that was set up with another one's id: it is refused and changes
//! nothing. An operator resets an id whose host was reinstalled or speaks another protocol from now on.

use uuid::Uuid;

use crate::controller::MISSED_HEARTBEATS;

/// The longest time between two heartbeats, in seconds. A controller that asks for more is held to this.
pub const MAX_INTERVAL_S: i32 = 60;
/// The time between two heartbeats of a controller that does not say, in seconds.
pub const DEFAULT_INTERVAL_S: i32 = 10;
/// Another world takes over an id after this silence at the earliest, in milliseconds, however often its host said it would speak.
pub const TAKEOVER_MS: i64 = 30_000;

/// The interval that a heartbeat's own word amounts to, in seconds.
#[must_use]
pub fn interval_s(said: Option<u32>) -> i32 {
    said.map_or(DEFAULT_INTERVAL_S, |said| i32::try_from(said).unwrap_or(i32::MAX).clamp(1, MAX_INTERVAL_S))
}

/// What is known of an id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known<'a> {
    /// Its platform.
    pub platform: &'a str,
    /// Its protocol; 0 where it is not known, because an operator has reset it.
    pub protocol: i32,
    /// Its world, where it said so.
    pub world_id: Option<Uuid>,
    /// It has spoken on a subject of its own, which only its credentials may publish on.
    pub own_subject: bool,
    /// It took its leave, or never spoke since it was reset.
    pub left: bool,
    /// How long it has been silent while somebody listened, in milliseconds.
    pub silent_ms: i64,
    /// Its heartbeat interval, in seconds.
    pub interval_s: i32,
}

/// What a heartbeat claims.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim<'a> {
    /// Its platform.
    pub platform: &'a str,
    /// Its protocol; 1 where it says nothing.
    pub protocol: i32,
    /// Its world.
    pub world_id: Option<Uuid>,
    /// It came on the id's own subject.
    pub own_subject: bool,
}

/// Why a heartbeat is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Ids are unique over all platforms.
    #[error("it belongs to platform {known}; a controller of platform {claimed} needs another id")]
    Platform {
        /// Whose it is.
        known: String,
        /// Who claims it.
        claimed: String,
    },
    /// Anyone may publish on the bare subject.
    #[error("it speaks on a subject of its own, and a heartbeat on the subject that all share is not its own")]
    BareSubject,
    /// A change of lane is an operator's decision.
    #[error(
        "it speaks protocol {known}, and this heartbeat protocol {claimed}; where that is meant, an operator resets the id"
    )]
    Protocol {
        /// What it speaks.
        known: i32,
        /// What the heartbeat says.
        claimed: i32,
    },
    /// What was once said is not taken back.
    #[error("its world is {0}, and this heartbeat names none; where that is meant, an operator resets the id")]
    NoWorld(Uuid),
    /// Two hosts with one id: the one that was there first stays, as long as it speaks.
    #[error(
        "two hosts claim it: world {known} is in charge, world {claimed} is refused; give one another CONTROLLER_ID"
    )]
    OtherWorld {
        /// The world in charge.
        known: Uuid,
        /// The other one.
        claimed: Uuid,
    },
}

/// How long an id must be silent before another world takes it over, in milliseconds.
#[must_use]
pub fn takeover_ms(interval_s: i32) -> i64 {
    (MISSED_HEARTBEATS * 1_000 * i64::from(interval_s.clamp(1, MAX_INTERVAL_S))).max(TAKEOVER_MS)
}

/// Holds a heartbeat against what is known of its id.
///
/// # Errors
/// [`Refusal`]: it comes from another host, and nothing of it counts.
pub fn check(known: &Known<'_>, claim: &Claim<'_>) -> Result<(), Refusal> {
    if known.platform != claim.platform {
        return Err(Refusal::Platform { known: known.platform.to_owned(), claimed: claim.platform.to_owned() });
    }
    if known.own_subject && !claim.own_subject {
        return Err(Refusal::BareSubject);
    }
    let another_lane = (known.protocol >= 2) != (claim.protocol >= 2);
    if known.protocol > 0 && (claim.protocol < known.protocol || another_lane) {
        return Err(Refusal::Protocol { known: known.protocol, claimed: claim.protocol });
    }
    match (known.world_id, claim.world_id) {
        (Some(known), None) => Err(Refusal::NoWorld(known)),
        (Some(world), Some(claimed)) if world != claimed => {
            let gone = known.left || known.silent_ms >= takeover_ms(known.interval_s);
            if gone { Ok(()) } else { Err(Refusal::OtherWorld { known: world, claimed }) }
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Option<Uuid> = Some(Uuid::from_u128(1));
    const THERE: Option<Uuid> = Some(Uuid::from_u128(2));

    fn known() -> Known<'static> {
        let (platform, protocol, world_id) = ("local", 2, HERE);
        Known { platform, protocol, world_id, own_subject: true, left: false, silent_ms: 0, interval_s: 10 }
    }

    fn claim() -> Claim<'static> {
        Claim { platform: "local", protocol: 2, world_id: HERE, own_subject: true }
    }

    #[test]
    fn the_host_itself_is_heard_and_one_that_says_less_or_something_else_is_not() {
        assert_eq!(check(&known(), &claim()), Ok(()));
        for impostor in [
            Claim { platform: "docker", ..claim() },
            Claim { own_subject: false, ..claim() },
            Claim { protocol: 1, ..claim() },
            Claim { world_id: None, ..claim() },
            Claim { world_id: THERE, ..claim() },
        ] {
            assert!(check(&known(), &impostor).is_err(), "{impostor:?}");
        }
        let old = Known { own_subject: false, world_id: None, ..known() };
        for more in [Claim { own_subject: false, world_id: None, ..claim() }, Claim { protocol: 3, ..claim() }, claim()]
        {
            assert_eq!(check(&old, &more), Ok(()), "{more:?}");
        }
    }

    #[test]
    fn a_change_of_lane_needs_a_reset() {
        let core = Known { protocol: 1, own_subject: false, world_id: None, ..known() };
        assert_eq!(check(&core, &claim()), Err(Refusal::Protocol { known: 1, claimed: 2 }));
        let reset = Known { protocol: 0, world_id: None, own_subject: false, left: true, ..known() };
        for any in [claim(), Claim { protocol: 1, world_id: None, own_subject: false, ..claim() }] {
            assert_eq!(check(&reset, &any), Ok(()));
        }
    }

    #[test]
    fn when_another_world_takes_over_is_bounded_by_the_engine() {
        let other = Claim { world_id: THERE, ..claim() };
        for (interval_s, silent_ms, taken) in [
            (10, 29_999, false),
            (10, 30_000, true),
            (1, 29_999, false),
            (1, 30_000, true),
            (60, 179_999, false),
            (60, 180_000, true),
            (i32::MAX, 180_000, true),
        ] {
            let known = Known { interval_s, silent_ms, ..known() };
            assert_eq!(check(&known, &other).is_ok(), taken, "every {interval_s} s, silent for {silent_ms} ms");
        }
        assert_eq!(check(&Known { left: true, ..known() }, &other), Ok(()));
    }

    #[test]
    fn an_interval_is_held_to_its_bounds() {
        for (said, counted) in [
            (None, 10),
            (Some(0), 1),
            (Some(1), 1),
            (Some(60), 60),
            (Some(61), 60),
            (Some(3600), 60),
            (Some(u32::MAX), 60),
        ] {
            assert_eq!(interval_s(said), counted, "{said:?}");
        }
    }
}
