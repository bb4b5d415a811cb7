//! What time does to a session besides retries and deadlines: idleness, maximum duration.

use streams::wire::SessionState as S;

use super::Step;
use crate::command::Commanded as _;

impl Step<'_> {
    pub(super) fn tick(&mut self) {
        let now = self.context.now_ms;
        let due = |at: Option<i64>| at.is_some_and(|at| at <= now);
        self.retry_if_due();
        if due(self.session.expires_ms) {
            self.end_of_duration();
        }
        if due(self.session.idle_ms) {
            self.look_for_idleness();
        }
    }

    fn end_of_duration(&mut self) {
        self.session.expires_ms = None;
        if self.session.status == S::Running {
            self.session.reason = Some("maximum duration reached".into());
            self.fall_asleep();
        }
    }

    /// Use since the timer was armed moves it; a session that nobody uses goes to sleep.
    fn look_for_idleness(&mut self) {
        let Some(timeout_ms) = self.session.idle_timeout_s.map(|s| s * 1000) else {
            self.session.idle_ms = None;
            return;
        };
        if self.session.status != S::Running {
            self.session.idle_ms = None;
            return;
        }
        let now = self.context.now_ms;
        if self.session.connections.unwrap_or(0) > 0 {
            self.session.last_activity_ms = now;
        }
        let idle_at = self.session.last_activity_ms + timeout_ms;
        if idle_at > now {
            self.session.idle_ms = Some(idle_at);
            return;
        }
        self.session.reason = Some(format!("idle for {} s", (now - self.session.last_activity_ms) / 1000));
        self.fall_asleep();
    }
}
