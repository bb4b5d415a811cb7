//! Types of query parameters that are more than any text, with their schemas for the API document. Their
//! readers refuse invalid values with messages of their own.

use std::borrow::Cow;

use poem_openapi::registry::{MetaSchema, MetaSchemaRef};
use poem_openapi::types::{ParseFromParameter, ParseResult, Type};

macro_rules! texts {
    ($($(#[$doc:meta])* $name:ident: $most:literal, $pattern:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone)]
        pub(crate) struct $name(pub(crate) String);

        impl Type for $name {
            const IS_REQUIRED: bool = true;
            type RawValueType = Self;
            type RawElementValueType = Self;

            fn name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn schema_ref() -> MetaSchemaRef {
                let pattern = Some($pattern.into());
                let schema = MetaSchema { min_length: Some(1), max_length: Some($most), pattern, ..MetaSchema::new("string") };
                MetaSchemaRef::Inline(Box::new(schema))
            }

            fn as_raw_value(&self) -> Option<&Self> {
                Some(self)
            }

            fn raw_element_iter<'a>(&'a self) -> Box<dyn Iterator<Item = &'a Self> + 'a> {
                Box::new(std::iter::once(self))
            }
        }

        impl ParseFromParameter for $name {
            fn parse_from_parameter(value: &str) -> ParseResult<Self> {
                Ok(Self(value.to_owned()))
            }
        }
    )*};
}

texts! {
    /// A subject or its beginning; parsed by [`engine::events::Pattern`].
    Subject: 255, r"^[!-)+-\-/-=?-~]+(\.[!-)+-\-/-=?-~]+)*(\.[*>])?$";
    /// A text to search for.
    Search: 255, r"^[^\x00-\x1f\x7f-\x9f]*$";
    /// States of sessions; parsed by `sessions/filter.rs`.
    States: 200, "^ *(all|pending|creating|running|hibernating|hibernated|waking|deleting|deleted|failed) *\
        (, *(all|pending|creating|running|hibernating|hibernated|waking|deleting|deleted|failed) *)*$";
    /// A reason given by an operator.
    Reason: 500, r"^[^\x00]*[^\s\x00][^\x00]*$";
}
