//! What came of an examination, for people and as JUnit XML.

use std::fmt::Write as _;
use std::time::Duration;

use controllers::promise::Promise;

/// What came of one promise that was not broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It was seen to be kept.
    Passed,
    /// It was broken, and how.
    Failed(String),
    /// The controller says that it does not do this, or its lane does not have it.
    Absent(String),
    /// It could not be seen, because the suite was not given what it takes.
    NotSeen(String),
}

impl Outcome {
    /// The word for it.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed(_) => "FAILED",
            Self::Absent(_) => "absent",
            Self::NotSeen(_) => "not seen",
        }
    }

    /// The reason, where there is one.
    #[must_use]
    pub fn why(&self) -> Option<&str> {
        match self {
            Self::Passed => None,
            Self::Failed(why) | Self::Absent(why) | Self::NotSeen(why) => Some(why),
        }
    }
}

/// What a check answers; an error is a broken promise.
pub type Finding = Result<Outcome, String>;

/// One promise in the account.
#[derive(Debug, Clone)]
pub struct Line {
    /// The promise.
    pub promise: Promise,
    /// What came of it.
    pub outcome: Outcome,
    /// How long its check took.
    pub took: Duration,
}

/// The result of an examination.
#[derive(Debug, Clone)]
pub struct Account {
    /// What was examined, for a heading.
    pub about: String,
    /// Every promise that was asked for, in the order of the list.
    pub lines: Vec<Line>,
    /// The whole time.
    pub took: Duration,
    /// The end of the controller's output, for those who look for a cause.
    pub log: String,
}

impl Account {
    /// Number of promises with an outcome of that word.
    fn count(&self, word: &str) -> usize {
        self.lines.iter().filter(|line| line.outcome.word() == word).count()
    }

    /// Whether no promise was broken.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        self.count("FAILED") == 0
    }

    /// One line with the counts.
    #[must_use]
    pub fn summary(&self) -> String {
        let [passed, failed, absent, unseen] = ["passed", "FAILED", "absent", "not seen"].map(|word| self.count(word));
        let seconds = self.took.as_secs_f64();
        format!("{passed} passed, {failed} failed, {absent} absent, {unseen} not seen in {seconds:.1} s")
    }

    /// The whole account for people.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = format!("{}\n\n", self.about);
        for Line { promise, outcome, took } in &self.lines {
            // writing to a String cannot fail
            let _ = writeln!(
                text,
                "  {:<9} {:<21} {promise} ({:.1} s)",
                outcome.word(),
                promise.name(),
                took.as_secs_f64()
            );
            for line in outcome.why().into_iter().flat_map(str::lines) {
                let _ = writeln!(text, "            {line}");
            }
        }
        if !self.is_kept() && !self.log.is_empty() {
            let _ = writeln!(text, "\nThe end of the controller's output:");
            for line in self.log.lines() {
                let _ = writeln!(text, "  | {line}");
            }
        }
        text.push('\n');
        text.push_str(&self.summary());
        text
    }

    /// The cases as one `testsuite` of JUnit XML. What is absent or was not seen counts as skipped.
    #[must_use]
    pub fn junit_suite(&self) -> String {
        let skipped = self.count("absent") + self.count("not seen");
        let mut xml = format!(
            "  <testsuite name=\"{}\" tests=\"{}\" failures=\"{}\" skipped=\"{skipped}\" time=\"{:.3}\">\n",
            escaped(&self.about),
            self.lines.len(),
            self.count("FAILED"),
            self.took.as_secs_f64()
        );
        for Line { promise, outcome, took } in &self.lines {
            let name = escaped(promise.name());
            let _ = write!(
                xml,
                "    <testcase classname=\"conformance\" name=\"{name}\" time=\"{:.3}\"",
                took.as_secs_f64()
            );
            let _ = match outcome {
                Outcome::Passed => writeln!(xml, "/>"),
                Outcome::Failed(why) => {
                    let text = escaped(promise.text());
                    writeln!(xml, ">\n      <failure message=\"{text}\">{}</failure>\n    </testcase>", escaped(why))
                }
                Outcome::Absent(why) | Outcome::NotSeen(why) => {
                    let message = escaped(&format!("{}: {why}", outcome.word()));
                    writeln!(xml, ">\n      <skipped message=\"{message}\"/>\n    </testcase>")
                }
            };
        }
        xml.push_str("  </testsuite>\n");
        xml
    }
}

/// Text as it may stand in XML; characters that XML does not have are replaced.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\t' => out.push(c),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{Account, Line, Outcome, Promise};
    use std::time::Duration;

    fn account() -> Account {
        let line = |promise, outcome| Line { promise, outcome, took: Duration::from_millis(1500) };
        let lines = vec![
            line(Promise::CreateTwice, Outcome::Passed),
            line(Promise::Page, Outcome::Failed("it said <\u{7}\"no\"> & left".into())),
            line(Promise::Nodes, Outcome::Absent("no nodes".into())),
            line(Promise::Killed, Outcome::NotSeen("no witness".into())),
        ];
        Account { about: "platform a & b".into(), lines, took: Duration::from_secs(3), log: "last words".into() }
    }

    #[test]
    fn the_account_counts_each_outcome_and_shows_why_and_the_log_of_a_failure() {
        let text = account().text();
        assert!(text.ends_with("1 passed, 1 failed, 1 absent, 1 not seen in 3.0 s"), "{text}");
        for part in ["FAILED    page", "no witness", "| last words", "creating twice is creating once (1.5 s)"] {
            assert!(text.contains(part), "{part} is missing: {text}");
        }
        assert!(!account().is_kept());
    }

    #[test]
    fn junit_escapes_what_a_controller_wrote_and_counts_what_was_not_seen_as_skipped() {
        let xml = account().junit_suite();
        assert!(xml.contains("failures=\"1\" skipped=\"2\""), "{xml}");
        assert!(xml.contains("it said &lt;\u{fffd}&quot;no&quot;&gt; &amp; left"), "{xml}");
        assert!(xml.contains("name=\"platform a &amp; b\""), "{xml}");
    }
}
