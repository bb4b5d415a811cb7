//! What a worker pulls from, and how its consumer is found again after it was deleted or the store was lost.

use std::fmt;
use std::sync::Arc;

use futures::FutureExt as _;
use futures::future::BoxFuture;

use crate::connect::Link;
use crate::ids::{ControllerId, Platform};
use crate::metrics::Metrics;
use crate::topology::{self, PullConsumer, StreamState};

type Bind = Arc<dyn Fn() -> BoxFuture<'static, Result<Option<PullConsumer>, topology::Error>> + Send + Sync>;

/// A durable consumer, bound as often as necessary.
#[derive(Clone)]
pub struct Source {
    pub(crate) link: Arc<Link>,
    pub(crate) metrics: Metrics,
    pub(crate) name: String,
    /// The stream whose epoch is set on deliveries.
    stamped: Option<&'static str>,
    bind: Bind,
}

impl Source {
    /// The engine's consumer on [`topology::SS_REPORTS`] or [`topology::SS_DLQ`]; deliveries carry the stream's epoch.
    #[must_use]
    pub fn engine(link: Link, stream: &'static str, metrics: Metrics) -> Self {
        let context = link.jetstream.clone();
        let source = Self::new(link, stream, metrics, move || {
            let context = context.clone();
            async move { topology::bind_engine_consumer(&context, stream).await }.boxed()
        });
        Self { stamped: Some(stream), ..source }
    }

    /// The commands of one controller in the durable lane. It waits until the engine has created the consumer.
    #[must_use]
    pub fn controller(link: Link, platform: Platform, id: ControllerId, metrics: Metrics) -> Self {
        let context = link.jetstream.clone();
        let name = crate::subject::consumer_name(&platform, &id);
        Self::new(link, name, metrics, move || {
            let (context, platform, id) = (context.clone(), platform.clone(), id.clone());
            async move { topology::bind_controller_consumer(&context, &platform, &id).await }.boxed()
        })
    }

    /// Any durable consumer. `bind` returns `None` while it does not exist.
    pub fn new<F>(link: Link, name: impl Into<String>, metrics: Metrics, bind: F) -> Self
    where
        F: Fn() -> BoxFuture<'static, Result<Option<PullConsumer>, topology::Error>> + Send + Sync + 'static,
    {
        Self { link: Arc::new(link), metrics, name: name.into(), stamped: None, bind: Arc::new(bind) }
    }

    pub(crate) async fn bind(&self) -> Result<Option<PullConsumer>, topology::Error> {
        (self.bind)().await
    }

    /// Whether deliveries carry their stream's epoch.
    pub(crate) const fn is_stamped(&self) -> bool {
        self.stamped.is_some()
    }

    /// The present state of the stream, if deliveries carry its epoch.
    pub(crate) async fn incarnation(&self) -> Result<Option<StreamState>, topology::Error> {
        match self.stamped {
            Some(stream) => topology::incarnation(&self.link.jetstream, stream).await,
            None => Ok(None),
        }
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source").field("name", &self.name).finish_non_exhaustive()
    }
}
