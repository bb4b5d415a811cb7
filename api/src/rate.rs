//! How often one principal may ask.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use crate::Config;
use crate::auth::Principal;

/// One bucket a principal; none at all where there is no limit.
#[derive(Clone)]
pub(crate) struct Rate(Option<Arc<DefaultKeyedRateLimiter<Principal>>>);

impl Rate {
    pub(crate) fn new(config: &Config) -> Self {
        let limiter = NonZeroU32::new(config.requests_per_second).map(|per_second| {
            let burst = NonZeroU32::new(config.burst).unwrap_or(per_second);
            Arc::new(RateLimiter::keyed(Quota::per_second(per_second).allow_burst(burst)))
        });
        Self(limiter)
    }

    /// Takes one request from a principal's bucket; says how long to wait where it is empty.
    pub(crate) fn admit(&self, principal: &Principal) -> Result<(), Duration> {
        let Some(limiter) = &self.0 else { return Ok(()) };
        let admitted = limiter.check_key(principal);
        admitted.map_err(|until| until.wait_time_from(DefaultClock::default().now()))
    }
}
