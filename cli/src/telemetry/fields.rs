//! The fields of spans in JSON log lines.
//!
//! Most spans exist for traces and never appear in a log line, so their fields are written straight to the text
//! of a line. The `JsonFields` of tracing-subscriber builds a tree first, and parses its own text again when a
//! field is recorded later.

use std::fmt;
use std::io;

use serde::Serialize;
use tracing::field::{Field, Visit};
use tracing::span::Record;
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::FormattedFields;
use tracing_subscriber::fmt::format::{FormatFields, Writer};

/// Formats the fields of a span as one JSON object.
pub(super) struct Fields;

impl<'a> FormatFields<'a> for Fields {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'a>, fields: R) -> fmt::Result {
        let mut members = Members { writer, before: '{', written: Ok(()) };
        fields.record(&mut members);
        members.end()
    }

    /// A field that is recorded twice is written twice; readers of JSON take the last of two equal keys.
    fn add_fields(&self, current: &'a mut FormattedFields<Self>, fields: &Record<'_>) -> fmt::Result {
        current.fields.pop(); // the closing brace
        let before = if current.fields.len() > 1 { ',' } else { current.fields.pop().unwrap_or('{') };
        let mut members = Members { writer: current.as_writer(), before, written: Ok(()) };
        fields.record(&mut members);
        members.end()
    }
}

/// Writes the members of an object.
struct Members<'a> {
    writer: Writer<'a>,
    /// Separator before the next member.
    before: char,
    written: fmt::Result,
}

impl Members<'_> {
    fn add(&mut self, field: &Field, value: &impl Serialize) {
        self.written = self.written.and_then(|()| self.member(field.name(), value));
    }

    fn member(&mut self, name: &str, value: &impl Serialize) -> fmt::Result {
        self.writer.write_char(std::mem::replace(&mut self.before, ','))?;
        self.json(name)?;
        self.writer.write_char(':')?;
        self.json(value)
    }

    fn json(&mut self, value: &(impl Serialize + ?Sized)) -> fmt::Result {
        serde_json::to_writer(Text(&mut self.writer), value).map_err(|_| fmt::Error)
    }

    fn end(mut self) -> fmt::Result {
        self.written?;
        self.writer.write_str(if self.before == '{' { "{}" } else { "}" })
    }
}

impl Visit for Members<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, &value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, &value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, &value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field, &value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, &value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(field, &format_args!("{value:?}"));
    }
}

/// Writes text escaped for JSON.
struct Text<'a, 'w>(&'a mut Writer<'w>);

impl io::Write for Text<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = std::str::from_utf8(bytes).map_err(io::Error::other)?;
        self.0.write_str(text).map_err(io::Error::other)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use tracing_subscriber::fmt::format::JsonFields;
    use tracing_subscriber::layer::SubscriberExt;
    use tracing_subscriber::{Layer, Registry};

    use super::super::tests::Lines;
    use super::*;

    /// The `span` of a log line written in a span with many kinds of fields, some recorded late or twice.
    fn span(fields: impl for<'a> FormatFields<'a> + Send + Sync + 'static) -> Value {
        let lines = Lines::default();
        let into = lines.clone();
        let logs = tracing_subscriber::fmt::layer().with_writer(move || into.clone()).json();
        let subscriber = Registry::default().with(logs.fmt_fields(fields).boxed());
        tracing::subscriber::with_default(subscriber, || {
            let span = tracing::info_span!("request", text = "\"a\"\n\u{7}ü", id = %7, kind = ?Some("é\\"), none = tracing::field::Empty,
                bytes = -3_i64, many = u64::MAX, share = 0.5, nothing = f64::NAN, sure = true, late = 1, later = tracing::field::Empty);
            span.record("late", 2).record("later", "at last");
            span.in_scope(|| tracing::info!("told"));
            let empty = tracing::info_span!("empty", late = tracing::field::Empty);
            empty.in_scope(|| tracing::info!("told"));
            empty.record("late", true);
            empty.in_scope(|| tracing::info!("told"));
        });
        let lines = lines.text();
        lines.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON")["span"].take()).collect()
    }

    #[test]
    fn a_line_shows_of_its_span_what_the_library_would_show() {
        let shown = span(Fields);
        assert_eq!(shown, span(JsonFields::new()));
        assert_eq!((&shown[0]["late"], &shown[0]["later"]), (&Value::from(2), &Value::from("at last")));
        assert_eq!((&shown[1]["late"], &shown[2]["late"]), (&Value::Null, &Value::from(true)));
    }
}
