//! One check's answer: a verdict, a sentence, what was found, and what was counted.

use std::collections::BTreeMap;

/// Findings of a check that are told one by one; the rest is counted.
pub const SHOWN: usize = 20;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// All is as it must be.
    Ok,
    /// Worth a look, not worth a night.
    Warning,
    /// Something does not work, or two that must agree do not.
    Wrong,
}

impl Verdict {
    /// In one word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Wrong => "wrong",
        }
    }
}

/// One thing that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub verdict: Verdict,
    /// What it is about, as `controller:docker-1`.
    pub about: String,
    /// What is the matter.
    pub sentence: String,
    /// What to do about it.
    pub way_out: String,
}

/// What one check found.
#[derive(Debug, Clone)]
pub struct Check {
    /// What was looked at.
    pub name: &'static str,
    /// The worst first, [`SHOWN`] at most.
    pub findings: Vec<Finding>,
    /// How many there are in all.
    pub total: usize,
    /// What was counted on the way.
    pub counts: BTreeMap<String, i64>,
    well: String,
    verdict: Verdict,
}

impl Check {
    /// Nothing found yet; `well` is what is said if it stays so.
    pub(super) fn new(name: &'static str, well: impl Into<String>) -> Self {
        let (findings, counts) = (Vec::new(), BTreeMap::new());
        Self { name, findings, total: 0, counts, well: well.into(), verdict: Verdict::Ok }
    }

    /// How bad it is in all.
    #[must_use]
    pub const fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// The check in one sentence: that all is well, or the worst of what is not.
    #[must_use]
    pub fn sentence(&self) -> String {
        match (self.findings.first(), self.total) {
            (None, _) => self.well.clone(),
            (Some(worst), 1) => worst.sentence.clone(),
            (Some(worst), total) => format!("{}; and {} more", worst.sentence, total - 1),
        }
    }

    pub(super) fn count(&mut self, name: impl Into<String>, count: impl TryInto<i64>) {
        self.counts.insert(name.into(), count.try_into().unwrap_or(i64::MAX));
    }

    pub(super) fn wrong(&mut self, about: impl Into<String>, sentence: impl Into<String>, way_out: impl Into<String>) {
        self.found(Verdict::Wrong, about.into(), sentence.into(), way_out.into());
    }

    pub(super) fn warn(&mut self, about: impl Into<String>, sentence: impl Into<String>, way_out: impl Into<String>) {
        self.found(Verdict::Warning, about.into(), sentence.into(), way_out.into());
    }

    fn found(&mut self, verdict: Verdict, about: String, sentence: String, way_out: String) {
        self.total += 1;
        self.verdict = self.verdict.max(verdict);
        let at = self.findings.partition_point(|finding| finding.verdict >= verdict);
        self.findings.insert(at, Finding { verdict, about, sentence, way_out });
        self.findings.truncate(SHOWN);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_is_told_first_and_what_is_too_much_is_counted() {
        let mut check = Check::new("x", "all is well");
        assert_eq!((check.verdict(), check.sentence().as_str()), (Verdict::Ok, "all is well"));
        (0..SHOWN).for_each(|n| check.warn(format!("{n}"), "meh", "look"));
        check.wrong("it", "broken", "mend it");
        assert_eq!((check.verdict(), check.total, check.findings.len()), (Verdict::Wrong, SHOWN + 1, SHOWN));
        assert_eq!(check.sentence(), format!("broken; and {SHOWN} more"));
        assert_eq!(check.findings[1].about, "0", "in the order in which they were found");
    }
}
