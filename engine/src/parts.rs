//! What every loop of the engine is given.

use std::sync::Arc;

use migrations::connect::Database;
use streams::connect::Link;
use streams::parking::Key;
use streams::tasks::Supervisor;

use crate::clock::Clock;
use crate::metrics::Metrics;
use crate::platforms::Platforms;
use crate::relay::Flight;
use crate::sizes::Sizes;
use crate::stuck::Stuck;
use crate::writer::{Wakes, Writer};

/// The shared parts; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Parts {
    pub(crate) database: Database,
    pub(crate) link: Link,
    pub(crate) writer: Writer,
    pub(crate) clock: Clock,
    pub(crate) wakes: Arc<Wakes>,
    pub(crate) flight: Arc<Flight>,
    pub(crate) stuck: Arc<Stuck>,
    pub(crate) sizes: Sizes,
    pub(crate) metrics: Metrics,
    /// What the engines of this installation sign with that which they park.
    pub(crate) parking_key: Key,
    pub(crate) tasks: Supervisor,
    pub(crate) platforms: Platforms,
}
