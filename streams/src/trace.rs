//! Carries one trace through every hop: the W3C `traceparent`, as text for SQL and for NATS headers.
//!
//! Works with any tracer that the process has installed, and does nothing without one.

use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState};
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// Name of the NATS header, and of the SQL column.
pub const HEADER: &str = "traceparent";

/// Maximum length in bytes: version 00 has 55, and later ones may be longer.
const LONGEST: usize = 64;

/// The current span as a `traceparent`; `None` if there is no trace.
#[must_use]
pub fn current_traceparent() -> Option<String> {
    let context = tracing::Span::current().context();
    let span = context.span();
    let span = span.span_context();
    span.is_valid().then(|| format!("00-{}-{}-{:02x}", span.trace_id(), span.span_id(), span.trace_flags().to_u8()))
}

/// Makes a span that was just created and not entered yet a child of a `traceparent`. A malformed one is ignored.
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

/// A `traceparent` from outside if it is valid; anything else is not a trace, and may not fit into its column.
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
