//! One trace through every hop: the W3C `traceparent`, as text for SQL and for NATS headers.
//!
//! Works with whatever tracer the process installed, and is nothing where it installed none.

use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState};
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// Header that carries it on NATS, and column name in SQL.
pub const HEADER: &str = "traceparent";

/// Bytes of one at most: version 00 has 55, and later ones may add to it.
const LONGEST: usize = 64;

/// The current span as a `traceparent`; `None` where nothing is traced.
#[must_use]
pub fn current_traceparent() -> Option<String> {
    let context = tracing::Span::current().context();
    let span = context.span();
    let span = span.span_context();
    span.is_valid().then(|| format!("00-{}-{}-{:02x}", span.trace_id(), span.span_id(), span.trace_flags().to_u8()))
}

/// Makes a span, just created and not yet entered, a child of a `traceparent`. What is malformed is ignored.
pub fn set_parent(span: &tracing::Span, traceparent: &str) {
    if let Some(parent) = parse(traceparent) {
        let _ = span.set_parent(opentelemetry::Context::new().with_remote_span_context(parent)); // no tracer: nothing to do
    }
}

/// The trace id of a `traceparent`: 32 hex digits.
#[must_use]
pub fn trace_id(traceparent: &str) -> Option<&str> {
    let id = traceparent.split('-').nth(1)?;
    parse(traceparent).map(|_| id)
}

/// A `traceparent` that came from outside, where it is one: whatever else stands there is no trace, and fits no column.
#[must_use]
pub fn valid(traceparent: String) -> Option<String> {
    (traceparent.len() <= LONGEST && parse(&traceparent).is_some()).then_some(traceparent)
}

fn parse(traceparent: &str) -> Option<SpanContext> {
    let mut parts = traceparent.trim().split('-');
    let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    if version.len() != 2 || version == "ff" || trace.len() != 32 || span.len() != 16 || flags.len() != 2 {
        return None;
    }
    let flags = TraceFlags::new(u8::from_str_radix(flags, 16).ok()?);
    let (trace, span) = (TraceId::from_hex(trace).ok()?, SpanId::from_hex(span).ok()?);
    let context = SpanContext::new(trace, span, flags, true, TraceState::default());
    context.is_valid().then_some(context)
}
