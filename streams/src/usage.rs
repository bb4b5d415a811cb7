//! When what a session uses counts as somebody using it. Engine and drivers agree on it here.
//!
//! CPU counts, from a share of what the session may use (`resources.cpu`, else one core); memory does not, because a program
//! that nobody looks at keeps it. A report counts at the moment that it comes in, so a driver repeats it while the use lasts.

use crate::quantity;
use crate::wire::Resources;

/// Percent of its CPU from which on a session counts as in use, unless its template's `useCpuPercent` says otherwise.
pub const CPU_PERCENT: u8 = 5;
/// What a session may use that has no limit, in thousandths of a core.
const UNLIMITED_MILLICORES: u64 = 1000;

/// Whether what it uses counts as use.
#[must_use]
pub fn is_use(used: &Resources, may_use: &Resources, percent: Option<u8>) -> bool {
    let millicores = |resources: &Resources| resources.cpu.as_deref().and_then(|cpu| quantity::millicores(cpu).ok());
    let percent = u64::from(percent.unwrap_or(CPU_PERCENT));
    let limit = millicores(may_use).unwrap_or(UNLIMITED_MILLICORES);
    percent > 0 && millicores(used).is_some_and(|used| used * 100 >= limit * percent)
}
