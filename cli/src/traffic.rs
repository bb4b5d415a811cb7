//! Settings of `dev` and `serve` for the API's limits: requests, connections, watchers.

use crate::settings::{Flag, Settings};

/// The flags.
#[derive(Debug, clap::Args)]
#[group(id = "traffic")]
#[command(next_help_heading = "Traffic; beyond a limit, clients are told when to retry")]
pub(crate) struct Args {
    /// Requests a second per principal, over HTTP and NATS; 0 means no limit [default: 500]
    #[arg(long, value_name = "COUNT")]
    rate_limit: Option<String>,
    /// Burst of requests per principal [default: 2000]
    #[arg(long, value_name = "COUNT")]
    rate_burst: Option<String>,
    /// Requests a second per address; 0 means no limit [default: 1000]
    #[arg(long, value_name = "COUNT")]
    address_rate_limit: Option<String>,
    /// Burst of requests per address [default: 4000]
    #[arg(long, value_name = "COUNT")]
    address_rate_burst: Option<String>,
    /// Proxies whose X-Forwarded-For is trusted, such as 10.0.0.0/8,::1 [default: none]
    #[arg(long, value_name = "NETWORKS")]
    trusted_proxies: Option<String>,
    /// Origins of web pages that may use the API, such as https://ui.example.org,http://localhost:5173 [default: none]
    #[arg(long, value_name = "ORIGINS")]
    cors_origins: Option<String>,
    /// Maximum number of connections, as far as file descriptors allow; beyond it the longest idle one is
    /// closed [default: 10000]
    #[arg(long, value_name = "COUNT")]
    connections_max: Option<String>,
    /// Maximum number of connections per address [default: 7500]
    #[arg(long, value_name = "COUNT")]
    connections_per_address_max: Option<String>,
}

impl Args {
    /// The flags as a layer of settings.
    pub(crate) fn flags(self) -> [Flag; 8] {
        [
            ("rate_limit", self.rate_limit),
            ("rate_burst", self.rate_burst),
            ("address_rate_limit", self.address_rate_limit),
            ("address_rate_burst", self.address_rate_burst),
            ("trusted_proxies", self.trusted_proxies),
            ("cors_origins", self.cors_origins),
            ("connections_max", self.connections_max),
            ("connections_per_address_max", self.connections_per_address_max),
        ]
    }
}

/// The settings given; the API's defaults apply to the rest.
#[derive(Debug, Clone, Default)]
pub(crate) struct ApiLimits {
    rate: (Option<u32>, Option<u32>),
    address_rate: (Option<u32>, Option<u32>),
    trusted_proxies: Vec<api::IpNet>,
    cors_origins: Vec<api::Origin>,
    connections: Option<usize>,
    per_address: Option<usize>,
    watchers: Option<usize>,
}

impl ApiLimits {
    pub(crate) fn read(settings: &mut Settings) -> Self {
        Self {
            rate: (settings.optional("rate_limit"), settings.optional("rate_burst")),
            address_rate: (settings.optional("address_rate_limit"), settings.optional("address_rate_burst")),
            trusted_proxies: settings.read("trusted_proxies", networks).unwrap_or_default(),
            cors_origins: settings.read("cors_origins", origins).unwrap_or_default(),
            connections: settings.read("connections_max", count),
            per_address: settings.read("connections_per_address_max", count),
            watchers: settings.optional("feed_watchers_max"),
        }
    }

    /// Applies the settings, and keeps the number of connections within the file descriptor limit.
    pub(crate) fn apply(self, config: &mut api::Config) {
        let set = |value: &mut u32, given: Option<u32>| *value = given.unwrap_or(*value);
        set(&mut config.requests_per_second, self.rate.0);
        set(&mut config.burst, self.rate.1);
        set(&mut config.address_requests_per_second, self.address_rate.0);
        set(&mut config.address_burst, self.address_rate.1);
        config.trusted_proxies = self.trusted_proxies;
        config.cors_origins = self.cors_origins;
        config.max_watchers = self.watchers.unwrap_or(config.max_watchers);
        let mut sockets = config.sockets;
        sockets.connections = self.connections.unwrap_or(sockets.connections);
        sockets.per_address = self.per_address.unwrap_or(sockets.per_address).min(sockets.connections);
        config.sockets = sockets.within(descriptors());
        tracing::info!(
            connections.max = config.sockets.connections,
            connections.per_address = config.sockets.per_address,
            "connection limits"
        );
    }
}

fn count(text: &str) -> Result<usize, String> {
    let count = text.parse::<usize>().ok().filter(|count| *count >= 16);
    count.ok_or_else(|| format!("{text:?} is not a number of connections; it must be at least 16"))
}

/// Parses networks or addresses, separated by commas.
fn networks(text: &str) -> Result<Vec<api::IpNet>, String> {
    let network = |part: &str| {
        let address = || part.parse::<std::net::IpAddr>().map(api::IpNet::from);
        part.parse().or_else(|_| address()).map_err(|_| format!("{part:?} is not a network such as 10.0.0.0/8"))
    };
    text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(network).collect()
}

/// Parses origins of web pages, separated by commas.
fn origins(text: &str) -> Result<Vec<api::Origin>, String> {
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    parts.map(|part| part.parse().map_err(|bad: api::BadOrigin| bad.to_string())).collect()
}

/// Raises the soft limit of open files to the hard limit, at most to what can be used.
#[cfg(unix)]
fn descriptors() -> u64 {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    /// Enough for all connections, and harmless to children that inherit it.
    const ENOUGH: u64 = 65_536;
    let limits = getrlimit(Resource::Nofile);
    let wanted = limits.maximum.unwrap_or(ENOUGH).min(ENOUGH);
    let now = limits.current.unwrap_or(ENOUGH);
    if now >= wanted {
        return now;
    }
    match setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum: limits.maximum }) {
        Ok(()) => wanted,
        Err(error) => {
            tracing::warn!(%error, "the limit of open files could not be raised");
            now
        }
    }
}

#[cfg(not(unix))]
const fn descriptors() -> u64 {
    8_192
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_and_addresses_are_read_and_nonsense_is_named() {
        let read = networks("10.0.0.0/8, ::1").unwrap();
        assert_eq!(read.iter().map(ToString::to_string).collect::<Vec<_>>(), ["10.0.0.0/8", "::1/128"]);
        assert!(networks("10.0.0.0/8,everybody").unwrap_err().contains("\"everybody\""));
        assert!(count("3").unwrap_err().contains("at least 16"));
    }
}
