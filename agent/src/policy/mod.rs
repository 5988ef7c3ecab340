//! The device's own policy, which only ever narrows what the server allows.
//!
//! [`judge`] is one pure function, and the only place where the device itself says "not now". It is asked before each step
//! of an attempt up to the one that stops what runs, and all through a download; from there on it is too late to wait.
//! Conditions and counts are gathered beside it.
//!
//! An attempt that waits is held, not ended: ended ones would be offered again with every check-in. The server is told so,
//! and why, at once and then every `report_interval_sec`, which keeps it from taking the wait for silence. What isn't known
//! holds back where the policy asks for it. A release that is required, by its offer and by those who signed it, passes over
//! wishes (windows, daylight, crashes, share), not over power: a device that dies within an update is of no use to anybody.
//! Nor does it pass over whoever stood at the device and took it back from just this version.

mod conditions;
mod counters;
mod finding;
mod held;
pub(crate) mod interval;
mod power;
mod sun;
mod zone;

use otter_protocol::cohort::Cohort;
use otter_protocol::window::{Opening, Window, local_words};
use otter_protocol::{DeviceId, Timestamp};

use crate::clock;
use crate::config::{Config, PolicyConfig};
use crate::disk::Disk;
use crate::journal::{Record, TakenBack};

pub(crate) use conditions::Senses;
pub use counters::Counters;
pub use finding::{Finding, Outcome, Rule};
pub use held::Held;
pub(crate) use held::{News, news};
pub use power::{Charge, Power};

/// What the policy looks at, beside the clock.
#[derive(Debug, Clone, PartialEq)]
pub struct Circumstances {
    /// What the device runs on.
    pub power: Power,
    /// Crashes of its service since it booted, or its version was committed.
    pub crashes: u32,
    /// Its fixed place.
    pub cohort: Cohort,
    /// Its own time zone, where it has one.
    pub zone: Option<String>,
    /// What somebody at the device took it back from, where the update is just that.
    pub taken_back: Option<TakenBack>,
}

impl Circumstances {
    /// Looks at a device whose agent may not be running; [`Senses`] does so for one that is.
    pub fn look(config: &Config, disk: &dyn Disk, record: &Record) -> Self {
        let power = power::read(disk, &config.policy.power_supply);
        Self::with(power, &config.device_id, disk, record)
    }

    pub(crate) fn with(power: Power, device: &DeviceId, disk: &dyn Disk, record: &Record) -> Self {
        Self {
            power,
            crashes: record.counters.crashes,
            cohort: Cohort::fixed(device),
            zone: zone::of_device(disk),
            taken_back: record.taken_back.clone().filter(|taken_back| {
                let attempt = record.attempt.as_ref();
                attempt.is_some_and(|attempt| taken_back.is(&attempt.offer))
            }),
        }
    }
}

/// What the policy says, with every rule's outcome.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// Every rule's outcome, in order.
    pub outcomes: Vec<Outcome>,
}

impl Verdict {
    /// Tells whether an update may begin, or go on.
    pub fn allows(&self) -> bool {
        self.outcomes.iter().all(Outcome::passes)
    }

    /// Returns what holds it back.
    pub fn blockers(&self) -> impl Iterator<Item = &Outcome> {
        self.outcomes.iter().filter(|outcome| !outcome.passes())
    }

    /// Returns the rules that hold it back.
    pub fn rules(&self) -> Vec<Rule> {
        self.blockers().map(|outcome| outcome.rule).collect()
    }

    /// Returns why it is held back, all of it.
    pub fn words(&self) -> String {
        let words: Vec<String> = self.blockers().map(Outcome::words).collect();
        words.join("; ")
    }

    /// Returns the first time at which something that holds it back changes by itself.
    pub fn changes_at(&self) -> Option<Timestamp> {
        self.blockers().filter_map(Outcome::until).min()
    }
}

/// Judges whether an update may begin now. Total and deterministic: the same circumstances always give the same verdict.
pub fn judge(
    policy: &PolicyConfig,
    circumstances: &Circumstances,
    now: Timestamp,
    is_required: bool,
) -> Verdict {
    let wish = |rule: Rule, finding: Finding| {
        let is_passed_over = is_required && !finding.passes();
        Outcome {
            rule,
            finding: if is_passed_over {
                Finding::Required
            } else {
                finding
            },
        }
    };
    let need = |rule: Rule, finding: Finding| Outcome { rule, finding };
    Verdict {
        outcomes: vec![
            wish(Rule::Window, window(policy, circumstances, now)),
            wish(Rule::Sun, daylight(policy, circumstances, now)),
            need(Rule::Battery, battery(policy, circumstances.power)),
            need(Rule::Mains, mains(policy, circumstances.power)),
            wish(Rule::Stable, stable(policy, circumstances)),
            wish(Rule::Cohort, cohort(policy, circumstances)),
            need(Rule::TakenBack, taken_back(circumstances)),
        ],
    }
}

fn window(policy: &PolicyConfig, circumstances: &Circumstances, now: Timestamp) -> Finding {
    let Some(window) = &policy.windows else {
        return Finding::NotAsked;
    };
    opening(window, circumstances, now, |zone| window.at(now, zone))
}

fn daylight(policy: &PolicyConfig, circumstances: &Circumstances, now: Timestamp) -> Finding {
    let Some(solar) = &policy.solar else {
        return Finding::NotAsked;
    };
    let own = Window::default();
    opening(&own, circumstances, now, |_| sun::opening(solar, now))
}

/// Puts an opening in the words of the zone that counts. A clock that was never set knows of none.
fn opening(
    window: &Window,
    circumstances: &Circumstances,
    now: Timestamp,
    opening: impl FnOnce(Option<&str>) -> Opening,
) -> Finding {
    if !clock::was_set(now) {
        return Finding::ClockNotSet { says: now };
    }
    let device_zone = circumstances.zone.as_deref();
    match opening(device_zone) {
        Opening::Open => Finding::Open,
        Opening::Closed { opens_at } => {
            let zone = window.zone_for(device_zone);
            let name = zone.iana_name().unwrap_or("UTC");
            let words = |at| format!("{} ({name})", local_words(at, now, &zone));
            Finding::Closed {
                opens_at,
                opens: opens_at.map(words),
            }
        }
    }
}

fn battery(policy: &PolicyConfig, power: Power) -> Finding {
    let Some(least) = policy.min_battery_percent else {
        return Finding::NotAsked;
    };
    match power.charge {
        _ if power.on_mains == Some(true) => Finding::OnMains,
        Charge::NoBattery => Finding::NoBattery,
        Charge::Unknown => Finding::ChargeUnknown { least },
        Charge::Percent(got) => Finding::Charge { got, least },
    }
}

fn mains(policy: &PolicyConfig, power: Power) -> Finding {
    if !policy.needs_mains {
        return Finding::NotAsked;
    }
    match power.on_mains {
        Some(true) => Finding::OnMains,
        Some(false) => Finding::OnBattery,
        None if power.charge == Charge::NoBattery => Finding::NoBattery,
        None => Finding::MainsUnknown,
    }
}

fn stable(policy: &PolicyConfig, circumstances: &Circumstances) -> Finding {
    let got = circumstances.crashes;
    policy
        .max_crashes
        .map_or(Finding::NotAsked, |most| Finding::Crashes { got, most })
}

fn cohort(policy: &PolicyConfig, circumstances: &Circumstances) -> Finding {
    Finding::Cohort {
        place: circumstances.cohort.as_percent(),
        share: policy.cohort_share,
        is_in: circumstances.cohort.is_below(policy.cohort_share),
    }
}

fn taken_back(circumstances: &Circumstances) -> Finding {
    circumstances
        .taken_back
        .as_ref()
        .map_or(Finding::NotAsked, |taken_back| Finding::TakenBack {
            at: taken_back.at,
            reason: taken_back.reason.clone(),
        })
}

#[cfg(test)]
mod tests;
