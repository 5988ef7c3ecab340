//! How many tests passed and failed, from what the test runners write for machines.

use anyhow::{Context as _, Result};

/// Tests that ran.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Count {
    /// Those that held.
    pub(super) passed: u64,
    /// Those that did not.
    pub(super) failed: u64,
}

impl Count {
    /// Adds another runner's.
    pub(super) fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
    }

    /// Reads the first line that has sums of a JUnit report, as nextest writes it.
    pub(super) fn from_junit(report: &str) -> Result<Self> {
        let line = report
            .lines()
            .find(|line| line.trim_start().starts_with("<testsuites "))
            .context("no <testsuites> in the report")?;
        let number = |name: &str| -> Result<u64> {
            let (_, rest) = line
                .split_once(&format!(" {name}=\""))
                .with_context(|| format!("no {name} in `{line}`"))?;
            let (digits, _) = rest
                .split_once('"')
                .context("an attribute without an end")?;
            digits
                .parse()
                .with_context(|| format!("{name} is `{digits}`"))
        };
        let failed = number("failures")? + number("errors")?;
        Ok(Self {
            passed: number("tests")?.saturating_sub(failed),
            failed,
        })
    }

    /// Reads Playwright's JSON report; a flaky test counts as failed, for nothing is retried.
    pub(super) fn from_playwright(report: &str) -> Result<Self> {
        let report: serde_json::Value =
            serde_json::from_str(report).context("Playwright's report is not JSON")?;
        let number = |name: &str| {
            report
                .pointer(&format!("/stats/{name}"))
                .and_then(serde_json::Value::as_u64)
                .unwrap_or(0)
        };
        Ok(Self {
            passed: number("expected"),
            failed: number("unexpected") + number("flaky"),
        })
    }

    /// Adds up the `test result:` lines of `cargo test`.
    pub(super) fn from_libtest(output: &str) -> Self {
        let mut count = Self::default();
        for line in output
            .lines()
            .filter_map(|line| line.strip_prefix("test result: "))
        {
            let words: Vec<&str> = line
                .split([' ', '.', ';'])
                .filter(|word| !word.is_empty())
                .collect();
            for pair in words.windows(2) {
                match pair {
                    [number, "passed"] => count.passed += number.parse().unwrap_or(0),
                    [number, "failed"] => count.failed += number.parse().unwrap_or(0),
                    _ => {}
                }
            }
        }
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_a_junit_report() {
        let report = "<?xml version=\"1.0\"?>\n<testsuites name=\"nextest-run\" tests=\"12\" failures=\"2\" errors=\"1\" time=\"1.0\">\n";
        assert_eq!(
            Count::from_junit(report).unwrap(),
            Count {
                passed: 9,
                failed: 3
            }
        );
        assert!(Count::from_junit("<html>").is_err());
    }

    #[test]
    fn counts_a_playwright_report() {
        let report = r#"{"stats":{"expected":3,"unexpected":1,"flaky":1,"skipped":4}}"#;
        assert_eq!(
            Count::from_playwright(report).unwrap(),
            Count {
                passed: 3,
                failed: 2
            }
        );
    }

    #[test]
    fn counts_results_of_doc_tests() {
        let output = "test result: ok. 3 passed; 0 failed; 1 ignored; finished in 0.1s\nx\ntest result: FAILED. 1 passed; 2 failed; 0 ignored";
        assert_eq!(
            Count::from_libtest(output),
            Count {
                passed: 4,
                failed: 2
            }
        );
    }
}
