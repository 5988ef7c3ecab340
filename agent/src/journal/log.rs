//! What was done for an attempt, as its log keeps it: of bounded length, whatever the attempt goes through.

use otter_protocol::Timestamp;
use serde::{Deserialize, Serialize};

/// Most lines of an attempt.
const MOST: usize = 200;
/// Lines from its beginning that are kept whatever comes after them.
const FIRST: usize = 20;
/// Longest line, in characters.
const LONGEST: usize = 500;

/// A line of an attempt's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// When.
    pub at: Timestamp,
    /// What was done, or happened.
    pub text: String,
    /// How often the same was said in a row, beside this time.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub again: u32,
}

fn is_zero(count: &u32) -> bool {
    *count == 0
}

/// An attempt's log.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct AttemptLog {
    /// Its lines, oldest first.
    pub entries: Vec<Entry>,
    /// How many were left out after the first ones.
    pub left_out: u32,
}

impl AttemptLog {
    /// Adds a line; one that says what the last one says is only counted.
    pub fn add(&mut self, at: Timestamp, text: &str) {
        let text: String = text
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .take(LONGEST)
            .collect();
        if let Some(last) = self.entries.last_mut().filter(|last| last.text == text) {
            last.again = last.again.saturating_add(1);
            return;
        }
        self.entries.push(Entry { at, text, again: 0 });
        if self.entries.len() > MOST {
            self.entries.remove(FIRST);
            self.left_out = self.left_out.saturating_add(1);
        }
    }

    /// Returns it as people read it, a line each.
    pub fn as_text(&self) -> String {
        let mut lines = Vec::with_capacity(self.entries.len() + 1);
        for (place, entry) in self.entries.iter().enumerate() {
            if place == FIRST && self.left_out > 0 {
                lines.push(format!("({} lines are left out)", self.left_out));
            }
            let again = match entry.again {
                0 => String::new(),
                again => format!(" (and {again} times more)"),
            };
            lines.push(format!("{} {}{again}", entry.at, entry.text));
        }
        lines.iter().map(|line| format!("{line}\n")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_short_and_keeps_its_beginning_and_its_end() {
        let mut log = AttemptLog::default();
        log.add(Timestamp(0), "begins\nhere");
        log.add(Timestamp(1), "begins here");
        for count in 0..1000 {
            log.add(Timestamp(count), &format!("line {count}"));
        }
        log.add(Timestamp(0), &"x".repeat(10_000));
        assert_eq!(log.entries.len(), MOST);
        let text = log.as_text();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines[0],
            "1970-01-01T00:00:00Z begins here (and 1 times more)"
        );
        assert_eq!(lines[FIRST], "(802 lines are left out)");
        assert!(
            lines[FIRST + 1].ends_with("line 821"),
            "{}",
            lines[FIRST + 1]
        );
        assert!(lines[MOST - 1].ends_with("line 999"));
        assert!(text.len() < 20_000);
    }
}
