//! An example of each type of problem, for the API document.

use std::time::Duration;

use engine::{FieldError, Hint};

use super::{Kind, PresentState, Problem};

impl Kind {
    /// An example of this type.
    pub(crate) fn example(self) -> Problem {
        match self {
            Self::InvalidFields => Problem::invalid(mistakes()),
            Self::InvalidParameter => Problem::parameter(
                "limit",
                "must be from 1 to 200, not 1000",
                "use a smaller limit, and follow next_cursor",
            ),
            Self::IllegalTransition => {
                let present = PresentState { state: "pending".into(), allowed: vec!["delete".into()] };
                let detail = "a session that is pending cannot hibernate; possible now: delete";
                Problem { present: Some(Box::new(present)), ..Problem::new(self, detail) }
            }
            Self::PreconditionFailed => Problem::precondition("\"2.9\"".into()),
            Self::TooManyRequests => Problem::new(self, self.sentence()).after(Duration::from_secs(2)),
            Self::NotFound => Problem::not_found("session", "0198f3c2-7a10-7b3e-9d51-2f6ac04e8b17"),
            Self::MalformedBody => {
                Problem::new(self, "the body is not JSON: EOF while parsing an object at line 1 column 1")
            }
            Self::TooLarge => Problem::new(self, "the body may have at most 1048576 bytes"),
            Self::UnsupportedMediaType => {
                Problem::new(self, "the body came with text/plain; send Content-Type: application/json")
            }
            _ => Problem::new(self, self.sentence()),
        }
    }

    /// The first sentence of its explanation.
    fn sentence(self) -> String {
        self.text().split_once(". ").map_or_else(|| self.text().to_owned(), |(first, _)| format!("{first}."))
    }
}

fn mistakes() -> Vec<FieldError> {
    let mistake = |field: &str, rule: &str, hint: Hint| FieldError { field: field.into(), rule: rule.into(), hint };
    vec![
        mistake("template_id", "there is no template \"firefox\"", Hint::Templates),
        mistake(
            "idle_timeout",
            "\"soon\" is not a duration between 1s and 365d, such as 90s, 30m or 1h30m",
            "write it as 90s, 30m or 1h30m".into(),
        ),
    ]
}
