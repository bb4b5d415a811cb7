//! A trace survives its form as text; without a tracer nothing happens.

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::trace::SdkTracerProvider;
use streams::trace::{current_traceparent, set_parent, trace_id};
use tracing_subscriber::layer::SubscriberExt as _;

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

#[test]
fn a_span_continues_the_trace_that_it_was_given() {
    let provider = SdkTracerProvider::builder().build();
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
        let span = tracing::info_span!("work");
        set_parent(&span, PARENT);
        let onward = span.in_scope(current_traceparent).unwrap();
        assert_eq!(trace_id(&onward), trace_id(PARENT));
        assert_ne!(onward, PARENT, "the span is a child, not the parent itself");
    });
}

#[test]
fn without_a_tracer_there_is_no_trace() {
    tracing::subscriber::with_default(tracing_subscriber::registry(), || {
        let span = tracing::info_span!("work");
        set_parent(&span, PARENT);
        assert_eq!(span.in_scope(current_traceparent), None);
    });
}

#[test]
fn what_is_no_traceparent_is_ignored() {
    assert_eq!(trace_id(PARENT), Some("0af7651916cd43dd8448eb211c80319c"));
    let zeros = format!("00-{}-b7ad6b7169203331-01", "0".repeat(32));
    for text in ["", "00", "zz", &PARENT[..40], &PARENT.replace("00-", "ff-"), &PARENT.replace('7', "g"), &zeros] {
        assert_eq!(trace_id(text), None, "{text:?}");
    }
}
