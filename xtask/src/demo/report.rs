//! What was to hold, and whether it did.

use std::fmt::Write as _;

/// What was to hold, and whether it did.
#[derive(Debug, Default)]
pub(super) struct Report {
    lines: Vec<(bool, String)>,
}

impl Report {
    /// Adds something that must hold.
    pub(super) fn check(&mut self, holds: bool, what: impl Into<String>) {
        self.lines.push((holds, what.into()));
    }

    /// Adds something that must be just so.
    pub(super) fn equal<T: PartialEq + std::fmt::Display>(
        &mut self,
        what: &str,
        is: T,
        should_be: T,
    ) {
        let holds = is == should_be;
        let difference = if holds {
            String::new()
        } else {
            format!(", should be {should_be}")
        };
        self.check(holds, format!("{what}: {is}{difference}"));
    }

    /// Tells whether all of it holds.
    pub(super) fn is_good(&self) -> bool {
        self.lines.iter().all(|(holds, _)| *holds)
    }

    /// A line for each thing, those that don't hold marked.
    pub(super) fn text(&self) -> String {
        let mut text = String::from("What happened:");
        for (holds, what) in &self.lines {
            let mark = if *holds { "ok    " } else { "WRONG " };
            // Writing to a text can't fail.
            let _ = write!(text, "\n  {mark} {what}");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_thing_that_is_wrong_makes_all_of_it_wrong() {
        let mut report = Report::default();
        report.equal("devices", 3, 3);
        assert!(report.is_good());
        report.equal("devices", 2, 3);
        assert!(!report.is_good());
        let text = report.text();
        assert!(text.contains("ok     devices: 3\n"), "{text}");
        assert!(text.ends_with("WRONG  devices: 2, should be 3"), "{text}");
    }
}
