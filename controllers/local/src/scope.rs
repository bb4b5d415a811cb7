//! What an error of the operating system is about: the breaker counts by it.

use std::io;

use rustix::io::Errno;
use streams::wire::Scope;

/// The host's room and limits are everybody's; whatever else is wrong with it is about `otherwise`.
pub(super) fn of(error: &io::Error, otherwise: Scope) -> Scope {
    const HOST: [Errno; 9] = [
        Errno::NOSPC,
        Errno::ROFS,
        Errno::IO,
        Errno::NOMEM,
        Errno::MFILE,
        Errno::NFILE,
        Errno::AGAIN,
        Errno::STALE,
        Errno::NODEV,
    ];
    match Errno::from_io_error(error) {
        Some(errno) if HOST.contains(&errno) => Scope::Platform,
        _ => otherwise,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_the_hosts_and_a_missing_program_is_not() {
        let about = |errno: Errno| of(&io::Error::from(errno), Scope::Template);
        for errno in [Errno::NOSPC, Errno::IO, Errno::MFILE, Errno::NOMEM] {
            assert_eq!(about(errno), Scope::Platform, "{errno}");
        }
        for errno in [Errno::NOENT, Errno::ACCESS, Errno::NOEXEC, Errno::DQUOT] {
            assert_eq!(about(errno), Scope::Template, "{errno}");
        }
        assert_eq!(of(&io::Error::other("gone"), Scope::Session), Scope::Session);
    }
}
