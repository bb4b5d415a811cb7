//! When a session's resource usage counts as use by a person. Shared by engine and drivers.
//!
//! CPU counts, from a share of the session's limit (`resources.cpu`, else one core). Memory does not, because
//! an idle program keeps it. A report counts at the time it arrives, so a driver repeats it while the use
//! lasts.

use crate::quantity;
use crate::wire::Resources;

/// CPU percentage from which a session counts as in use, unless its template's `useCpuPercent` says otherwise.
pub const CPU_PERCENT: u8 = 5;
/// Assumed CPU limit of a session without one, in thousandths of a core.
const UNLIMITED_MILLICORES: u64 = 1000;

/// Whether this usage counts as use.
#[must_use]
pub fn is_use(used: &Resources, may_use: &Resources, percent: Option<u8>) -> bool {
    let millicores = |resources: &Resources| resources.cpu.as_deref().and_then(|cpu| quantity::millicores(cpu).ok());
    let percent = u64::from(percent.unwrap_or(CPU_PERCENT));
    let limit = millicores(may_use).unwrap_or(UNLIMITED_MILLICORES);
    percent > 0 && millicores(used).is_some_and(|used| used * 100 >= limit * percent)
}
