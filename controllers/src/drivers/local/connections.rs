//! How many connections each session has, from one read of the kernel's tables for all of them.

use std::{collections::HashMap, fs};

/// `TCP_ESTABLISHED` in `include/net/tcp_states.h`.
const ESTABLISHED: &str = "01";

/// Established connections by local port, over IPv4 and IPv6.
pub(super) fn count() -> HashMap<u16, u32> {
    let mut counts = HashMap::new();
    for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
        let text = fs::read_to_string(table).unwrap_or_default(); // no IPv6: no table
        for port in text.lines().skip(1).filter_map(established) {
            *counts.entry(port).or_default() += 1;
        }
    }
    counts
}

/// The local port of a line, where it is an established connection. Both ends of a loopback connection have a line; only
/// the session's end has the session's port as the local one.
fn established(line: &str) -> Option<u16> {
    let mut fields = line.split_ascii_whitespace().skip(1);
    let (local, _remote, state) = (fields.next()?, fields.next()?, fields.next()?);
    (state == ESTABLISHED).then_some(())?;
    u16::from_str_radix(local.rsplit_once(':')?.1, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::established;

    #[test]
    fn only_established_connections_count_and_by_their_local_port() {
        let line = |state: &str| format!("   0: 0100007F:1F90 0100007F:C001 {state} 00000000:00000000 00:00000000");
        assert_eq!(established(&line("01")), Some(8080));
        assert_eq!(established(&line("0A")), None);
        assert_eq!(established("garbage"), None);
    }
}
