//! Points in time in requests, parsed by [`streams::moment`].

use std::borrow::Cow;

use chrono::Utc;
use poem_openapi::registry::{MetaSchema, MetaSchemaRef, Registry};
use poem_openapi::types::{ParseError, ParseFromJSON, ParseFromParameter, ParseResult, ToJSON, Type};
use serde::{Deserialize, Deserializer, de};
use serde_json::{Value, json};
use streams::moment;

/// A time, a date, or an age.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment(moment::Moment);

impl Moment {
    /// Milliseconds since the epoch; an age counts back from now.
    pub(crate) fn ms(self) -> i64 {
        self.0.ms(Utc::now())
    }

    /// A number that is the same for all pages of a list, even if an age moves on with each request.
    pub(crate) const fn name(self) -> i64 {
        match self.0 {
            moment::Moment::At(at) => at.timestamp_millis(),
            moment::Moment::Ago(ms) => -ms,
        }
    }
}

impl Type for Moment {
    const IS_REQUIRED: bool = true;
    type RawValueType = Self;
    type RawElementValueType = Self;

    fn name() -> Cow<'static, str> {
        "moment".into()
    }

    fn schema_ref() -> MetaSchemaRef {
        let inline = |schema| MetaSchemaRef::Inline(Box::new(schema));
        let ago = MetaSchema { pattern: Some("^[1-9][0-9]{0,2}[smhd]$".into()), ..MetaSchema::new("string") };
        let forms = ["date-time", "date"].map(|format| inline(MetaSchema::new_with_format("string", format)));
        inline(MetaSchema {
            any_of: forms.into_iter().chain([inline(ago)]).collect(),
            example: Some(json!("2026-01-01T08:00:09.000Z")),
            ..MetaSchema::ANY
        })
    }

    fn register(_: &mut Registry) {}

    fn as_raw_value(&self) -> Option<&Self> {
        Some(self)
    }

    fn raw_element_iter<'a>(&'a self) -> Box<dyn Iterator<Item = &'a Self> + 'a> {
        Box::new(std::iter::once(self))
    }
}

impl ParseFromParameter for Moment {
    fn parse_from_parameter(value: &str) -> ParseResult<Self> {
        moment::parse(value).map(Self).map_err(ParseError::custom)
    }
}

impl ParseFromJSON for Moment {
    fn parse_from_json(value: Option<Value>) -> ParseResult<Self> {
        serde_json::from_value(value.unwrap_or_default()).map_err(ParseError::custom)
    }
}

/// Required for fields of bodies; never used in an answer.
impl ToJSON for Moment {
    fn to_json(&self) -> Option<Value> {
        Some(json!(self.ms()))
    }
}

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        moment::parse(&text).map(Self).map_err(de::Error::custom)
    }
}
