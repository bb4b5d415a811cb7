//! The feed as Server-Sent Events.

use std::fmt::Write;

use engine::feed::{Cut, Told};
use futures::{Stream, StreamExt, stream};
use poem::{Body, IntoResponse, Response};
use poem_openapi::ApiResponse;
use poem_openapi::payload::EventStream;
use poem_openapi::registry::{MetaResponses, Registry};
use poem_openapi::types::Type;

use super::item::{self, FeedItem};
use super::{Farewell, HEARTBEAT, Seated};

/// What the stream begins with: how long to wait before asking again, in milliseconds.
const HELLO: &str = "retry: 1000\n";
/// Bytes that are gathered, where they are there at once, before they are sent.
const CHUNK: usize = 16 * 1024;

/// The response.
pub(super) struct Events(pub(super) Seated);

type Described = EventStream<stream::Empty<FeedItem>>;

impl ApiResponse for Events {
    fn meta() -> MetaResponses {
        let mut meta = <Described as ApiResponse>::meta();
        for response in &mut meta.responses {
            response.description = "What happens, without an end. The data of each event is a `FeedItem`.";
            // clients take the schema for that of one event: they read them one by one, and never a whole array
            response.content.iter_mut().for_each(|content| content.schema = FeedItem::schema_ref());
        }
        meta
    }

    fn register(registry: &mut Registry) {
        <Described as ApiResponse>::register(registry);
    }
}

impl IntoResponse for Events {
    fn into_response(self) -> Response {
        let hello = stream::once(async { HELLO.to_owned() });
        let frames = hello.chain(frames(self.0)).map(Ok::<_, std::io::Error>);
        Response::builder()
            .content_type("text/event-stream")
            .header("cache-control", "no-store")
            .header("x-accel-buffering", "no") // a proxy that gathers would hold everything back
            .body(Body::from_bytes_stream(frames))
    }
}

fn frames(seated: Seated) -> impl Stream<Item = String> + Send {
    let begun = position(&seated);
    let first = stream::once(async move { begun });
    first.chain(stream::unfold(Some(seated), async |seated| {
        let mut seated = seated?;
        let (text, last) = next(&mut seated).await;
        Some((text, (!last).then_some(seated)))
    }))
}

/// The next thing to say, and whether it is the last.
async fn next(seated: &mut Seated) -> (String, bool) {
    let told = tokio::select! {
        biased;
        () = seated.stopping.cancelled() => Told::Cut(Cut::Stopping),
        told = tokio::time::timeout(HEARTBEAT, seated.watcher.next()) => match told {
            Ok(told) => told,
            Err(_) => return (position(seated), false),
        },
    };
    let mut text = String::new();
    let mut told = Some(told);
    while let Some(one) = told {
        match one {
            Told::Item(item) => {
                let _ = write!(text, "id: {}\ndata: {}\n\n", item.position, item::text(&item)); // a String takes all
            }
            Told::Cut(cut) => {
                let farewell = Farewell { cut, after: seated.watcher.position() };
                let _ = write!(text, "event: cut\nid: {}\ndata: {}\n\n", farewell.after, farewell.json());
                return (text, true);
            }
        }
        told = if text.len() < CHUNK { seated.watcher.ready() } else { None };
    }
    (text, false)
}

/// A comment for who waits, and an id for who filters: it moves on with what passed by, and without data it is no event.
fn position(seated: &Seated) -> String {
    format!(": alive\nid: {}\n\n", seated.watcher.position())
}
