//! How a rollout will go: a forecast over counts, in steps of time.
//!
//! Pure: the same counts always give the same forecast. Devices are not told apart but by when they can be reached, and every
//! attempt is taken to succeed. Steps widen with the distance from now, to a thousandth of it: a forecast of a week is good to
//! ten minutes, and one of a year costs no more than a few thousand steps. Where the steps lie depends on neither limits nor pace,
//! so that a rollout that may go faster is never said to end later.

mod curve;
mod hours;
mod simulation;

use crate::gate::Gate;
use crate::rollout::Pace;
use crate::time::Timestamp;
use crate::window::Window;

/// Seconds that a forecast looks ahead: a year.
pub const HORIZON_SEC: u64 = 366 * 86_400;

/// Most points of a curve.
pub const MAX_POINTS: usize = 200;

/// A rollout as it is counted before a forecast.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Outlook {
    /// The time now.
    pub now: Timestamp,
    /// When the first attempt may begin; now, or later.
    pub starts_at: Timestamp,
    /// Tells whether the open phase began before now.
    pub has_begun: bool,
    /// The phase that is open, or opens then, from 0.
    pub open_phase: usize,
    /// When the open phase's sample was complete.
    pub sampled_at: Option<Timestamp>,
    /// The phases, in order.
    pub phases: Vec<PhaseOutlook>,
    /// When updates may start, for devices that refer to it by its place here.
    pub hours: Vec<Hours>,
    /// Seconds that an attempt takes.
    pub attempt_sec: u64,
    /// Most attempts under way at once.
    pub max_in_flight: Option<u32>,
    /// Attempts of a phase that begin together.
    pub batch_size: Option<u32>,
    /// How many attempts begin in an hour.
    pub pace: Option<Pace>,
}

/// A phase as it is counted before a forecast.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct PhaseOutlook {
    /// What must hold before the next.
    pub gate: Gate,
    /// A person let it go on already.
    pub is_approved: bool,
    /// Attempts of it that finished.
    pub finished: u64,
    /// Attempts of it that are under way.
    pub under_way: u64,
    /// Devices that have to begin and will ask.
    pub coming: Vec<Coming>,
    /// Devices that have to begin, of which nobody can say when they do.
    pub unreached: u64,
}

/// Devices that are reached alike.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Coming {
    /// How many.
    pub devices: u64,
    /// Seconds between two of their check-ins.
    pub interval_sec: u64,
    /// They don't begin before.
    pub from: Timestamp,
    /// The place of their windows in [`Outlook::hours`]; at any time, where there is none.
    pub hours: Option<usize>,
}

/// When devices of a zone may start updates.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Hours {
    /// Windows that must all be open.
    pub windows: Vec<Window>,
    /// Their IANA time zone.
    pub zone: Option<String>,
}

/// How a rollout will go.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Forecast {
    /// The phases, in order.
    pub phases: Vec<PhaseForecast>,
    /// When the last phase ends; absent where that can't be told.
    pub ends_at: Option<Timestamp>,
    /// Why not, where it can't be told.
    pub stops: Option<Stops>,
    /// When the last attempt ends that can be told.
    pub last_finish_at: Option<Timestamp>,
    /// Attempts that finished by then, those before the forecast too.
    pub finished: u64,
    /// Attempts that are under way when it ends.
    pub under_way: u64,
    /// Devices of phases that were open that still wait when it ends.
    pub left: u64,
    /// Finished attempts over time, at most [`MAX_POINTS`], the first now.
    pub curve: Vec<(Timestamp, u64)>,
}

/// When a phase begins and ends, where that can be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PhaseForecast {
    /// When its devices may begin; absent for one that began before now, or never does.
    pub starts_at: Option<Timestamp>,
    /// When its gate opens.
    pub ends_at: Option<Timestamp>,
}

/// Why a forecast doesn't come to an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stops {
    /// A phase's gate waits for a person.
    Approval {
        /// The phase, from 0.
        phase: usize,
        /// From then on.
        from: Timestamp,
    },
    /// A phase waits for devices of which nobody can say when they begin.
    Unreached {
        /// The phase, from 0.
        phase: usize,
        /// How many.
        devices: u64,
    },
    /// It takes over a year.
    Horizon {
        /// The phase that is open then, from 0.
        phase: usize,
    },
}

/// Forecasts how a rollout will go. Total and deterministic.
pub fn forecast(outlook: &Outlook) -> Forecast {
    simulation::Simulation::new(outlook).run()
}

#[cfg(test)]
mod tests;
