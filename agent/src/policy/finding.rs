//! The policy's rules and what they find, as data and in a person's words.

use otter_protocol::{Share, Timestamp};

use crate::clock;

/// A rule of the device's own policy, in the order in which they are walked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// `windows`
    Window,
    /// `solar`
    Sun,
    /// `min_battery_percent`
    Battery,
    /// `needs_mains`
    Mains,
    /// `max_crashes`
    Stable,
    /// `cohort_share`
    Cohort,
    /// Taken back at the device itself
    TakenBack,
}

impl Rule {
    /// Returns the rule as the journal and `status` write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Window => "window",
            Self::Sun => "sun",
            Self::Battery => "battery",
            Self::Mains => "mains",
            Self::Stable => "stable",
            Self::Cohort => "cohort",
            Self::TakenBack => "taken_back",
        }
    }
}

/// What a rule finds.
#[derive(Debug, Clone, PartialEq)]
pub enum Finding {
    /// The policy doesn't ask.
    NotAsked,
    /// A required release passes over it.
    Required,
    /// The window is open.
    Open,
    /// The window is closed.
    Closed {
        /// When it opens; `None` where that is over a year away.
        opens_at: Option<Timestamp>,
        /// The same as people near it say it, with the time zone.
        opens: Option<String>,
    },
    /// Whether the window is open can't be known.
    ClockNotSet {
        /// What the clock says.
        says: Timestamp,
    },
    /// The device has no battery that could run down.
    NoBattery,
    /// It runs on mains.
    OnMains,
    /// It runs on its battery.
    OnBattery,
    /// The battery's charge.
    Charge {
        /// What it is.
        got: u8,
        /// What is asked for.
        least: u8,
    },
    /// The battery doesn't say.
    ChargeUnknown {
        /// What is asked for.
        least: u8,
    },
    /// Nothing says what the device runs on.
    MainsUnknown,
    /// The service's crashes.
    Crashes {
        /// How many there were.
        got: u32,
        /// How many are forgiven.
        most: u32,
    },
    /// The device's place and the share that takes part.
    Cohort {
        /// Its fixed place, in per cent.
        place: f64,
        /// The share.
        share: Share,
        /// Whether the share takes it in: exact, where the place is rounded.
        is_in: bool,
    },
    /// It is what somebody at the device took it back from.
    TakenBack {
        /// When.
        at: Timestamp,
        /// Why, as far as that was said.
        reason: Option<String>,
    },
}

impl Finding {
    /// Tells whether the rule lets an update begin.
    pub fn passes(&self) -> bool {
        match self {
            Self::NotAsked | Self::Required | Self::Open | Self::NoBattery | Self::OnMains => true,
            Self::Closed { .. } | Self::ClockNotSet { .. } => false,
            Self::OnBattery | Self::MainsUnknown | Self::ChargeUnknown { .. } => false,
            Self::TakenBack { .. } => false,
            Self::Charge { got, least } => got >= least,
            Self::Crashes { got, most } => got <= most,
            Self::Cohort { is_in, .. } => *is_in,
        }
    }
}

/// One rule's outcome.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// Which rule.
    pub rule: Rule,
    /// What it found.
    pub finding: Finding,
}

impl Outcome {
    /// Tells whether it lets an update begin.
    pub fn passes(&self) -> bool {
        self.finding.passes()
    }

    /// Returns when it changes by itself, where that is known.
    pub fn until(&self) -> Option<Timestamp> {
        match self.finding {
            Finding::Closed { opens_at, .. } => opens_at,
            _ => None,
        }
    }

    /// Returns the outcome in words, as they stand in a report and in the log.
    pub fn words(&self) -> String {
        let what = match self.rule {
            Rule::Window => "its window",
            Rule::Sun => "daylight",
            Rule::Battery => "the battery",
            Rule::Mains => "mains",
            Rule::Stable => "the service to run stably",
            Rule::Cohort => "a larger share",
            Rule::TakenBack => "`otter-agent update`",
        };
        let found = match &self.finding {
            Finding::NotAsked => "which its policy doesn't ask for".to_owned(),
            Finding::Required => "but the release is required".to_owned(),
            Finding::Open => "which is there".to_owned(),
            Finding::Closed { opens, .. } => opens.as_ref().map_or_else(
                || "which doesn't come within a year".to_owned(),
                |opens| format!("it comes {opens}"),
            ),
            Finding::ClockNotSet { says } => format!(
                "whether it is there nobody knows, as the clock was never set: it says {says}"
            ),
            Finding::NoBattery => "it has no battery".to_owned(),
            Finding::OnMains => "it runs on mains".to_owned(),
            Finding::OnBattery => "it runs on its battery".to_owned(),
            Finding::Charge { got, least } => format!("{got} %, needs {least} %"),
            Finding::ChargeUnknown { least } => {
                format!("its charge can't be read, needs {least} %. Check its gauge")
            }
            Finding::MainsUnknown => "what it runs on can't be read. Check its gauge".to_owned(),
            Finding::Crashes { got, most } => format!("{got} crashes, at most {most}"),
            Finding::TakenBack { at, reason } => {
                let at = clock::to_second(*at);
                let reason = reason.as_ref().map(|reason| format!(": {reason}"));
                let reason = reason.unwrap_or_default();
                format!("somebody at the device took it back from this version at {at}{reason}")
            }
            Finding::Cohort { place, share, .. } => {
                format!("its place is {place:.2} %, and those below {share} take part")
            }
        };
        format!("waits for {what}: {found}")
    }
}
