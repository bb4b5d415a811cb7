//! Fair share: the order in which commands leave the outbox, so that one user's thousands do not stand before
//! everybody else's.
//!
//! Each command gets a position in the form of a time, by which the outbox is sorted. A user's commands are
//! spaced out: the first is due now, each further one a little after the one before. So a user who requests ten
//! thousand sessions gets positions spread over a day, and another user's one is before nearly all of them. A
//! user who is alone does not wait, because positions only order commands and never delay them. (Zhang,
//! "VirtualClock: a new traffic control algorithm for packet switching networks", 1990.)
//!
//! Deletes and hibernates come before starts, because they free what others wait for.

/// Spacing of a user's commands, in milliseconds. It is longer than a platform takes for a command, so that the
/// order does not depend on the speed of a platform.
pub const SPACING_MS: i64 = 10_000;
/// The farthest position, in milliseconds from now; commands beyond it are served in order of arrival.
pub const HORIZON_MS: i64 = 86_400_000;
/// How far ahead of everything else deletes and hibernates are, in milliseconds: a year.
pub const URGENT_MS: i64 = 31_536_000_000;

/// The position of a user's next command, in milliseconds since the epoch; `last` is that of the user's previous one.
#[must_use]
pub fn next(last: Option<i64>, now_ms: i64) -> i64 {
    last.map_or(now_ms, |last| (last + SPACING_MS).clamp(now_ms, now_ms + HORIZON_MS))
}

/// The position of a delete or hibernate.
#[must_use]
pub const fn urgent(now_ms: i64) -> i64 {
    now_ms - URGENT_MS
}

/// Positions below this are those of deletes and hibernates.
#[must_use]
pub const fn urgent_below(now_ms: i64) -> i64 {
    now_ms - URGENT_MS / 2
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_crowd_of_one_user_leaves_the_next_turn_to_another() {
        let mut crowd = vec![next(None, 0)];
        for _ in 1..10_000 {
            crowd.push(next(crowd.last().copied(), 0));
        }
        let after_a_minute = next(None, 60_000);
        assert_eq!(crowd.iter().filter(|turn| **turn < after_a_minute).count(), 6);
        assert!(urgent(60_000) < crowd[0], "a delete is before all of them");
        assert!(urgent(60_000) < urgent_below(60_000) && urgent_below(60_000) < crowd[0]);
    }

    #[test]
    fn who_asks_rarely_is_always_due_now() {
        assert_eq!(next(Some(1_000), 60_000), 60_000);
    }

    proptest! {
        #[test]
        fn turns_of_a_user_never_go_back_and_never_beyond_the_horizon(steps in prop::collection::vec(0_i64..100_000, 1..500)) {
            let (mut now, mut last) = (0, None);
            for step in steps {
                now += step;
                let turn = next(last, now);
                prop_assert!(turn >= now && turn <= now + HORIZON_MS && last.is_none_or(|last| turn >= last));
                last = Some(turn);
            }
        }
    }
}
