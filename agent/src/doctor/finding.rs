//! What was found: how it is, and what to do about it.

use std::fmt::Write;

use serde::Serialize;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// As it should be.
    Ok,
    /// An update works, but something is missing or will be.
    Warning,
    /// An update won't work.
    Problem,
}

impl Level {
    fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Problem => "problem",
        }
    }
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub level: Level,
    /// What was looked at, in a word or two.
    pub about: String,
    /// How it is.
    pub text: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mend: Option<String>,
}

impl Finding {
    /// It is as it should be.
    pub fn ok(about: &str, text: impl Into<String>) -> Self {
        Self {
            level: Level::Ok,
            about: about.to_owned(),
            text: text.into(),
            mend: None,
        }
    }

    /// An update works, but something is missing or will be.
    pub fn warning(about: &str, text: impl Into<String>, mend: impl Into<String>) -> Self {
        Self {
            level: Level::Warning,
            mend: Some(mend.into()),
            ..Self::ok(about, text)
        }
    }

    /// An update won't work.
    pub fn problem(about: &str, text: impl Into<String>, mend: impl Into<String>) -> Self {
        Self {
            level: Level::Problem,
            ..Self::warning(about, text, mend)
        }
    }
}

/// Returns the worst of all findings' levels.
pub fn worst(findings: &[Finding]) -> Level {
    let levels = findings.iter().map(|finding| finding.level);
    levels.max().unwrap_or(Level::Ok)
}

/// Writes findings as a person reads them, each with what to do under it.
pub fn as_text(findings: &[Finding]) -> String {
    let width = findings.iter().map(|finding| finding.about.chars().count());
    let width = width.max().unwrap_or(0);
    let mut text = String::new();
    for finding in findings {
        let (level, about) = (finding.level.word(), &finding.about);
        // Writing to a string can't fail.
        writeln!(text, "{level:<8} {about:<width$}  {}", finding.text).ok();
        if let Some(mend) = &finding.mend {
            writeln!(text, "{:width$}→ {mend}", "", width = width + 11).ok();
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_counts_and_each_says_what_to_do() {
        let ok = Finding::ok("clock", "it is set");
        let warning = Finding::warning("root", "it ends soon", "publish a new one");
        let problem = Finding::problem("module", "it is gone", "put it back");
        assert_eq!(worst(&[]), Level::Ok);
        assert_eq!(worst(std::slice::from_ref(&ok)), Level::Ok);
        assert_eq!(worst(&[warning.clone(), ok.clone()]), Level::Warning);
        let all = [ok, problem, warning];
        assert_eq!(worst(&all), Level::Problem);
        let lines = [
            "ok       clock   it is set",
            "problem  module  it is gone",
            "                 → put it back",
            "warning  root    it ends soon",
            "                 → publish a new one",
        ];
        assert_eq!(as_text(&all), lines.join("\n") + "\n");
    }
}
