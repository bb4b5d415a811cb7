//! NKeys: key pairs with which clients log in to NATS. The seed stays in a file of its client; the server knows
//! the public key alone.

use std::path::{Path, PathBuf};

use async_nats::{Auth, AuthError};
use nkeys::{KeyPair, KeyPairType};

use crate::secret::Secret;

/// The longest seed file that is read, in bytes; a seed has 58 characters.
const LONGEST: u64 = 4_096;

/// Why a seed file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be read.
    #[error("{}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's error.
        #[source]
        source: std::io::Error,
    },
    /// It holds something else.
    #[error("{} does not hold the seed of an NKey user, which begins with SU", path.display())]
    NotASeed {
        /// The file.
        path: PathBuf,
    },
    /// A key cannot be made or used.
    #[error("NKey: {0}")]
    Key(#[source] nkeys::error::Error),
}

/// Generates a key pair; returns its seed and its public key.
///
/// # Errors
/// [`Error::Key`] if the system has no randomness.
pub fn generate() -> Result<(Secret, String), Error> {
    let pair = KeyPair::new_user();
    Ok((Secret::new(pair.seed().map_err(Error::Key)?), pair.public_key()))
}

/// The public key of the seed in a file.
///
/// # Errors
/// See [`enum@Error`].
pub fn public_key(seed_file: &Path) -> Result<String, Error> {
    Ok(read(seed_file)?.public_key())
}

/// Answers a server's challenge with the seed in a file. The file is read each time, so that a new seed is used
/// from the next connection on.
pub(crate) fn answer(seed_file: &Path, nonce: &[u8]) -> Result<Auth, AuthError> {
    let pair = read(seed_file).map_err(AuthError::new)?;
    let mut auth = Auth::new();
    auth.signature = Some(pair.sign(nonce).map_err(AuthError::new)?);
    auth.nkey = Some(pair.public_key());
    Ok(auth)
}

fn read(path: &Path) -> Result<KeyPair, Error> {
    use std::io::Read as _;
    let failed = |source| Error::Read { path: path.to_owned(), source };
    let mut text = String::new();
    std::fs::File::open(path).map_err(failed)?.take(LONGEST).read_to_string(&mut text).map_err(failed)?;
    // the tools of NATS put comments and blank lines around seeds
    let seed = text.lines().map(str::trim).find(|line| line.starts_with('S')).unwrap_or_default();
    let pair = KeyPair::from_seed(seed).ok().filter(|pair| matches!(pair.key_pair_type(), KeyPairType::User));
    pair.ok_or_else(|| Error::NotASeed { path: path.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_file_gives_its_public_key_and_nothing_else_is_taken_for_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("user.nk");
        let (seed, public) = generate().unwrap();
        assert!(public.starts_with('U'));
        std::fs::write(&path, format!("# a comment\n{}\n", seed.expose())).unwrap();
        assert_eq!(public_key(&path).unwrap(), public);
        let account = KeyPair::new_account().seed().unwrap();
        for text in ["", &public, &account, "SUAAAA", "S"] {
            std::fs::write(&path, text).unwrap();
            assert!(matches!(public_key(&path), Err(Error::NotASeed { .. })), "{text}");
        }
        assert!(matches!(public_key(&folder.path().join("none")), Err(Error::Read { .. })));
    }
}
