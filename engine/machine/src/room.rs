//! Room on a controller: the number of sessions that it holds, and its maximum.
//!
//! A session takes a place on its owner with its first start, keeps it over failed attempts and restarts, and
//! gives it back when it is hibernated, deleted or given up (`session::Session::has_room`). So only sessions
//! without a place are checked against the limit.

/// The room of a controller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Places taken.
    pub held: u32,
    /// Places in all; `None` if the controller announced no maximum.
    pub max: Option<u32>,
}

impl Room {
    /// A controller that has not announced a maximum.
    pub const UNBOUNDED: Self = Self { held: 0, max: None };

    /// Whether there is a place for one more.
    #[must_use]
    pub fn fits(self) -> bool {
        self.max.is_none_or(|max| self.held < max)
    }

    /// Places left; `None` if unlimited.
    #[must_use]
    pub fn free(self) -> Option<u32> {
        self.max.map(|max| max.saturating_sub(self.held))
    }
}
