//! Rate limits per principal and per address.
//!
//! One bucket each. A principal's bucket counts authenticated requests, over HTTP and NATS alike; an address'
//! bucket counts every HTTP request before anything else, so that guessing tokens costs as much as any request.
//! Full buckets are forgotten, and there are never more than [`KEYS`] of a kind: beyond that, further callers
//! share one.

use std::hash::Hash;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use governor::state::keyed::DashMapStateStore;
use governor::{Quota, RateLimiter};
use ipnet::IpNet;
use poem::Request;
use poem::http::{HeaderMap, HeaderValue};

use crate::Config;
use crate::auth::Principal;
use crate::server::network;

/// Maximum number of buckets of a kind.
const KEYS: usize = 16_384;
/// Hops of `X-Forwarded-For` that are read.
const HOPS: usize = 16;

type Limiter<K> = RateLimiter<Option<K>, DashMapStateStore<Option<K>>, DefaultClock, StateInformationMiddleware>;

/// One bucket per key; none without a limit.
struct Buckets<K: Hash + Eq + Clone>(Option<(Limiter<K>, u32)>);

/// What is left of a bucket, for headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Left {
    limit: u32,
    remaining: u32,
    /// Time until another request is possible (if none is left) or the bucket is full.
    reset: Duration,
}

impl<K: Hash + Eq + Clone> Buckets<K> {
    fn new(per_second: u32, burst: u32) -> Self {
        Self(NonZeroU32::new(per_second).map(|per_second| {
            let burst = NonZeroU32::new(burst).unwrap_or(per_second);
            let quota = Quota::per_second(per_second).allow_burst(burst);
            (RateLimiter::dashmap(quota).with_middleware(), per_second.get())
        }))
    }

    fn take(&self, key: &K) -> Result<Option<Left>, Left> {
        let Some((limiter, per_second)) = &self.0 else { return Ok(None) };
        if limiter.len() >= KEYS {
            limiter.retain_recent();
        }
        let key = (limiter.len() < KEYS).then(|| key.clone());
        match limiter.check_key(&key) {
            Ok(state) => {
                let (limit, remaining) = (state.quota().burst_size().get(), state.remaining_burst_capacity());
                let reset =
                    Duration::from_secs_f64(f64::from(limit.saturating_sub(remaining)) / f64::from(*per_second));
                Ok(Some(Left { limit, remaining, reset }))
            }
            Err(until) => {
                let reset = until.wait_time_from(DefaultClock::default().now());
                Err(Left { limit: until.quota().burst_size().get(), remaining: 0, reset })
            }
        }
    }
}

impl Left {
    /// How long to wait before the next request.
    pub(crate) const fn wait(self) -> Duration {
        self.reset
    }

    /// Adds the headers to a response.
    pub(crate) fn add_headers(self, headers: &mut HeaderMap) {
        let reset = self.reset.as_secs_f64().ceil() as u32;
        headers.insert("ratelimit-limit", HeaderValue::from(self.limit));
        headers.insert("ratelimit-remaining", HeaderValue::from(self.remaining));
        headers.insert("ratelimit-reset", HeaderValue::from(reset));
    }
}

/// The limits of a server; cheap to clone.
#[derive(Clone)]
pub(crate) struct Rate(Arc<Inner>);

struct Inner {
    principals: Buckets<Principal>,
    addresses: Buckets<IpAddr>,
    proxies: Vec<IpNet>,
}

impl Rate {
    pub(crate) fn new(config: &Config) -> Self {
        Self(Arc::new(Inner {
            principals: Buckets::new(config.requests_per_second, config.burst),
            addresses: Buckets::new(config.address_requests_per_second, config.address_burst),
            proxies: config.trusted_proxies.clone(),
        }))
    }

    /// Takes a request from a principal's bucket.
    pub(crate) fn principal(&self, principal: &Principal) -> Result<Option<Left>, Left> {
        self.0.principals.take(principal)
    }

    /// Takes a request from the bucket of its address; requests over NATS have none.
    pub(crate) fn address(&self, request: &Request) -> Result<Option<Left>, Left> {
        let Some(peer) = request.remote_addr().as_socket_addr().map(|address| address.ip()) else { return Ok(None) };
        self.0.addresses.take(&network(self.origin(peer, request.headers())))
    }

    /// The origin of a request: the last hop that is not a trusted proxy. Claims of untrusted hops are ignored,
    /// because anyone can make them.
    fn origin(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let trusted = |address: IpAddr| self.0.proxies.iter().any(|net| net.contains(&address.to_canonical()));
        let said = headers.get_all("x-forwarded-for").iter().filter_map(|value| value.to_str().ok());
        let hops: Vec<&str> = said.flat_map(|value| value.split(',')).collect();
        let mut origin = peer;
        for hop in hops.iter().rev().take(HOPS) {
            if !trusted(origin) {
                break;
            }
            let Ok(address) = hop.trim().parse() else { break };
            origin = address;
        }
        origin
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // in tests a panic is the answer
mod tests {
    use super::*;
    use crate::Secret;

    fn rate(change: impl FnOnce(&mut Config)) -> Rate {
        let mut config = Config::new(Secret::new("a-token-for-tests"));
        change(&mut config);
        Rate::new(&config)
    }

    fn origin(rate: &Rate, peer: &str, said: &str) -> String {
        let headers = HeaderMap::from_iter([(
            poem::http::HeaderName::from_static("x-forwarded-for"),
            HeaderValue::from_str(said).unwrap(),
        )]);
        rate.origin(peer.parse().unwrap(), &headers).to_string()
    }

    #[test]
    fn only_trusted_proxies_are_believed_about_where_a_request_comes_from() {
        let nobody = rate(|_| {});
        assert_eq!(origin(&nobody, "10.0.0.1", "1.2.3.4"), "10.0.0.1");
        let some = rate(|config| config.trusted_proxies = vec!["10.0.0.0/8".parse().unwrap()]);
        assert_eq!(origin(&some, "10.0.0.1", "1.2.3.4"), "1.2.3.4");
        assert_eq!(origin(&some, "::ffff:10.0.0.1", "1.2.3.4"), "1.2.3.4");
        assert_eq!(origin(&some, "10.0.0.1", "6.6.6.6, 1.2.3.4, 10.0.0.2"), "1.2.3.4", "what is before is hearsay");
        assert_eq!(origin(&some, "10.0.0.1", "1.2.3.4, nonsense"), "10.0.0.1");
        assert_eq!(origin(&some, "9.9.9.9", "1.2.3.4"), "9.9.9.9");
    }

    #[test]
    fn buckets_are_bounded_and_strangers_share_one_beyond() {
        let buckets = Buckets::<u32>::new(1, 1);
        let refused = (0..20_000).filter(|key| buckets.take(key).is_err()).count();
        let (limiter, _) = buckets.0.as_ref().unwrap();
        assert!(limiter.len() <= KEYS + 1, "{}", limiter.len());
        assert!(refused > 0);
    }

    #[test]
    fn the_default_is_above_what_a_page_needs_and_0_is_no_limit() {
        let by_default = Buckets::<u32>::new(500, 2_000);
        assert!((0..500).all(|_| by_default.take(&1).is_ok()));
        let off = Buckets::<u32>::new(0, 0);
        assert!((0..10_000).all(|_| off.take(&1) == Ok(None)));
    }
}
