//! One-time codes: printed by the process that serves, good for one login within five minutes, kept only as hashes.

use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use uuid::Uuid;

/// Milliseconds for which a code is good.
const GOOD_MS: i64 = 5 * 60 * 1000;
/// Codes at a time; the oldest goes when there are more.
const MOST: usize = 16;

struct Code {
    digest: [u8; 32],
    until_ms: i64,
}

/// The codes of one process; cheap to clone.
#[derive(Clone, Default)]
pub struct Codes(Arc<Mutex<Vec<Code>>>);

impl std::fmt::Debug for Codes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Codes")
    }
}

impl Codes {
    /// A new code, good for five minutes from `now_ms` (milliseconds since the epoch).
    #[must_use]
    pub fn issue(&self, now_ms: i64) -> String {
        let code = random();
        let mut codes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        codes.retain(|code| code.until_ms > now_ms);
        if codes.len() >= MOST {
            codes.remove(0);
        }
        codes.push(Code { digest: Sha256::digest(&code).into(), until_ms: now_ms.saturating_add(GOOD_MS) });
        code
    }

    /// Uses a code up; false where it is not good any more.
    pub(super) fn take(&self, code: &str, now_ms: i64) -> bool {
        let digest: [u8; 32] = Sha256::digest(code).into();
        let mut codes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = codes.iter().position(|code| bool::from(code.digest.ct_eq(&digest)));
        found.is_some_and(|at| codes.remove(at).until_ms > now_ms)
    }
}

/// 244 random bits that fit into a URL.
pub(super) fn random() -> String {
    let (one, other) = (Uuid::new_v4(), Uuid::new_v4());
    URL_SAFE_NO_PAD.encode([*one.as_bytes(), *other.as_bytes()].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_good_once_and_for_five_minutes() {
        let codes = Codes::default();
        let (first, late) = (codes.issue(0), codes.issue(0));
        assert!(!codes.take("guessed", 1));
        assert!(codes.take(&first, GOOD_MS - 1));
        assert!(!codes.take(&first, GOOD_MS - 1), "it was used");
        assert!(!codes.take(&late, GOOD_MS), "it is too old");
    }

    #[test]
    fn codes_are_bounded_and_the_oldest_goes() {
        let codes = Codes::default();
        let issued: Vec<String> = (0..=MOST).map(|_| codes.issue(0)).collect();
        assert!(!codes.take(&issued[0], 1) && codes.take(&issued[1], 1));
    }
}
