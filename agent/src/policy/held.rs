//! An attempt that the policy holds back, as the journal keeps it and the server hears of it.

use std::time::Duration;

use otter_protocol::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Rule, Verdict};
use crate::clock;

/// An attempt that the policy holds back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// Since when.
    pub since: Timestamp,
    /// By which rules. As text: an older agent must be able to read the journal of a newer one.
    pub rules: Vec<String>,
    /// Why, in words, as the server was told.
    pub words: String,
    /// When the server was told.
    pub told_at: Timestamp,
}

impl Held {
    /// Returns what the server is told when nothing holds an attempt back any more. That message stays with the attempt,
    /// whatever becomes of it.
    fn epilogue(&self, now: Timestamp) -> String {
        format!(
            "was held back by the device's own policy from {} until {}",
            clock::to_second(self.since),
            clock::to_second(now)
        )
    }
}

/// What a verdict changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum News {
    /// Nothing.
    None,
    /// The attempt is held back, for other reasons than before or still; the server is to be told.
    Held(Held),
    /// It is held back no longer; these are the words for it.
    Released(String),
}

/// Returns what a verdict on an attempt changes. Numbers alone are told only every `interval`: a battery that is being
/// charged would be news with every per cent.
pub(crate) fn news(
    before: Option<&Held>,
    verdict: &Verdict,
    now: Timestamp,
    interval: Duration,
) -> News {
    if verdict.allows() {
        return before.map_or(News::None, |held| News::Released(held.epilogue(now)));
    }
    let rules = verdict.rules().into_iter().map(Rule::as_str);
    let rules: Vec<String> = rules.map(str::to_owned).collect();
    let is_known = before.is_some_and(|held| {
        let passed = now.0.checked_sub(held.told_at.0);
        // A clock that was set back says nothing of how long ago that was.
        let passed = passed.and_then(|ms| u64::try_from(ms).ok());
        held.rules == rules && passed.is_some_and(|ms| Duration::from_millis(ms) < interval)
    });
    if is_known {
        return News::None;
    }
    News::Held(Held {
        since: before.map_or(now, |held| held.since),
        rules,
        words: verdict.words(),
        told_at: now,
    })
}

#[cfg(test)]
mod tests {
    use super::super::{Finding, Outcome};
    use super::*;

    const INTERVAL: Duration = Duration::from_secs(600);

    fn verdict(got: u8, on_battery: bool) -> Verdict {
        let mains = if on_battery {
            Finding::OnBattery
        } else {
            Finding::OnMains
        };
        Verdict {
            outcomes: vec![
                Outcome {
                    rule: Rule::Battery,
                    finding: Finding::Charge { got, least: 30 },
                },
                Outcome {
                    rule: Rule::Mains,
                    finding: mains,
                },
            ],
        }
    }

    #[test]
    fn the_server_is_told_at_once_of_reasons_and_now_and_then_of_numbers() {
        let start = Timestamp(1_800_000_000_000);
        let after = |sec| start.plus_sec(sec);
        let tell = |held: Option<&Held>, verdict: &Verdict, now| news(held, verdict, now, INTERVAL);
        assert_eq!(tell(None, &verdict(30, false), start), News::None);
        let News::Held(held) = tell(None, &verdict(12, false), start) else {
            panic!("not held");
        };
        assert_eq!(held.words, "waits for the battery: 12 %, needs 30 %");
        let known = Some(&held);
        assert_eq!(tell(known, &verdict(13, false), after(599)), News::None);
        let News::Held(later) = tell(known, &verdict(13, false), after(600)) else {
            panic!("silence");
        };
        assert_eq!(later.words, "waits for the battery: 13 %, needs 30 %");
        assert_eq!((later.since, later.told_at), (start, after(600)));
        let News::Held(other) = tell(known, &verdict(13, true), after(1)) else {
            panic!("another reason is news");
        };
        assert_eq!(other.rules, ["battery", "mains"]);
        let back = start.minus_sec(86_400);
        assert!(matches!(
            tell(known, &verdict(12, false), back),
            News::Held(_)
        ));
        let News::Released(words) = tell(known, &verdict(30, false), after(61)) else {
            panic!("still held");
        };
        let times = "from 2027-01-15T08:00:00Z until 2027-01-15T08:01:01Z";
        assert!(words.ends_with(times), "{words}");
    }
}
