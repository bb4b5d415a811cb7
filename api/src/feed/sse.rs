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
use super::{CutNotice, HEARTBEAT, Seated};

/// The beginning of the stream: the delay before a reconnect, in milliseconds.
const HELLO: &str = "retry: 1000\n";
/// Bytes of available items that are sent together.
const CHUNK: usize = 16 * 1024;

/// The response.
pub(super) struct Events(pub(super) Seated);

type Described = EventStream<stream::Empty<FeedItem>>;

impl ApiResponse for Events {
    fn meta() -> MetaResponses {
        let mut meta = <Described as ApiResponse>::meta();
        for response in &mut meta.responses {
            response.description = "What happens, without an end. The data of each event is a `FeedItem`.";
            // clients take the schema for that of a single event, because they never see a whole array
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
            .header("x-accel-buffering", "no") // a buffering proxy would hold everything back
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

/// The next output, and whether it is the last.
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
                let _ = write!(text, "id: {}\ndata: {}\n\n", item.position, item::text(&item)); // writing to a String cannot fail
            }
            Told::Cut(cut) => {
                let cut_notice = CutNotice { cut, after: seated.watcher.position() };
                let _ = write!(text, "event: cut\nid: {}\ndata: {}\n\n", cut_notice.after, cut_notice.json());
                return (text, true);
            }
        }
        told = if text.len() < CHUNK { seated.watcher.ready() } else { None };
    }
    (text, false)
}

/// A comment as keep-alive, and an id that advances past filtered rows; without data it is not an event.
fn position(seated: &Seated) -> String {
    format!(": alive\nid: {}\n\n", seated.watcher.position())
}
