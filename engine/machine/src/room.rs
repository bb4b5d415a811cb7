//! Room on a controller: how many sessions it holds, and how many it may.
//!
//! A session takes a place on its owner with its first start, keeps it over failed attempts and restarts, and gives it back when
//! it is hibernated, deleted or given up (`session::Session::has_room`). So only what has none is held against the limit.

/// What is known of a controller's room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Places that are taken.
    pub held: u32,
    /// Places that there are; `None` where the controller did not say.
    pub max: Option<u32>,
}

impl Room {
    /// A controller that never said how many sessions it may hold.
    pub const UNBOUNDED: Self = Self { held: 0, max: None };

    /// Whether one more finds a place.
    #[must_use]
    pub fn fits(self) -> bool {
        self.max.is_none_or(|max| self.held < max)
    }

    /// Places that are left; `None`: without a bound.
    #[must_use]
    pub fn free(self) -> Option<u32> {
        self.max.map(|max| max.saturating_sub(self.held))
    }
}
