//! What was counted and forecast, put together.

use otter_protocol::Timestamp;
use otter_protocol::admin::{Assumptions, CurvePoint, PhasePreview, RolloutPreview};
use otter_protocol::attempt::AttemptPurpose;
use otter_protocol::gate::{Gate, Tally};
use otter_protocol::preview::{Forecast, Outlook, PhaseOutlook, Stops, forecast};
use otter_protocol::rollout::{Rollout, RolloutState};

use super::attempt_time::AttemptTime;
use super::census::{Census, PhaseCensus};
use super::{NOT_MADE, Subject, warnings};
use crate::config::FleetConfig;

/// A phase with everything that is known of it.
pub(super) struct Part<'a> {
    /// From 0.
    pub(super) place: usize,
    pub(super) name: String,
    pub(super) gate: Gate,
    pub(super) counts: &'a PhaseCensus,
    pub(super) preview: PhasePreview,
}

pub(super) fn answer(
    subject: &Subject,
    census: &Census,
    attempt_time: AttemptTime,
    config: &FleetConfig,
    now: Timestamp,
) -> RolloutPreview {
    let rollout = &subject.rollout;
    let mut parts = parts_of(subject, census);
    let outlook = outlook(subject, census, &parts, attempt_time, config, now);
    let forecast = forecast(&outlook);
    for (part, seen) in parts.iter_mut().zip(&forecast.phases) {
        part.preview.starts_at = seen.starts_at;
        part.preview.ends_at = seen.ends_at;
    }
    let sum = |count: fn(&PhasePreview) -> u64| parts.iter().map(|part| count(&part.preview)).sum();
    let silent = parts.iter().map(|part| part.counts.silent).sum();
    let is_made = rollout.id != NOT_MADE;
    let point = |(at, finished): &(Timestamp, u64)| CurvePoint {
        at: *at,
        finished: *finished,
    };
    RolloutPreview {
        rollout: is_made.then_some(rollout.id),
        state: is_made.then_some(rollout.state),
        at: now,
        devices: census.devices,
        audience: census.audience,
        on_it: census.on_it,
        left: sum(|phase| phase.left),
        under_way: sum(|phase| phase.under_way),
        finished: sum(|phase| phase.finished),
        held_devices: census.held.devices,
        held: census.held.sorted(),
        starts_at: rollout.started_at.unwrap_or(outlook.starts_at),
        ends_at: forecast.ends_at,
        no_end: no_end(&forecast, &parts, config),
        last_finish_at: forecast.last_finish_at,
        curve: forecast.curve.iter().map(point).collect(),
        assumptions: Assumptions {
            check_in_interval_sec: config.check_in_interval_sec,
            attempt_sec: attempt_time.sec,
            attempts_measured: attempt_time.measured,
            silent,
        },
        warnings: warnings::warnings(rollout, census, &parts, &forecast, now),
        phases: parts.into_iter().map(|part| part.preview).collect(),
    }
}

fn parts_of<'a>(subject: &Subject, census: &'a Census) -> Vec<Part<'a>> {
    let spec = &subject.rollout.spec;
    if subject.rollout.state == RolloutState::RollingBack {
        return way_back(subject, census).into_iter().collect();
    }
    let phases = spec.phases.iter().zip(&census.phases).enumerate();
    phases
        .map(|(place, (phase, counts))| {
            let tally = subject.tallies.get(place).copied().unwrap_or_default();
            let begun = subject
                .load
                .phases
                .get(place)
                .map_or(0, |load| load.devices);
            Part {
                place,
                name: phase.name.clone(),
                gate: phase.gate,
                preview: PhasePreview {
                    scope: Some(phase.scope.clone()),
                    ..phase_preview(&phase.name, counts, &tally, begun)
                },
                counts,
            }
        })
        .collect()
}

/// Returns the way back as if it were a phase; it ends when nobody is left on it.
fn way_back<'a>(subject: &Subject, census: &'a Census) -> Option<Part<'a>> {
    let place = subject.rollout.spec.phases.len();
    let counts = census.phases.get(place)?;
    // What is still on its way forth has to end, too.
    let under_way = subject.tallies.iter().map(|tally| tally.under_way).sum();
    let tally = Tally {
        under_way,
        ..subject.tallies.get(place).copied().unwrap_or_default()
    };
    let back = subject
        .load
        .phases
        .get(place)
        .map_or(0, |load| load.devices);
    let name = AttemptPurpose::RollBack.as_str().replace('_', " ");
    Some(Part {
        place: 0,
        gate: Gate::default(),
        preview: PhasePreview {
            // Each went forth before, so none is new to the rollout.
            devices: back + counts.left + counts.held.lasting,
            ..phase_preview(&name, counts, &tally, back)
        },
        name,
        counts,
    })
}

fn phase_preview(name: &str, counts: &PhaseCensus, tally: &Tally, begun: u64) -> PhasePreview {
    PhasePreview {
        name: name.to_owned(),
        scope: None,
        devices: begun + counts.fresh,
        left: counts.left,
        unreached: counts.silent + counts.unfit,
        under_way: tally.under_way,
        finished: tally.finished(),
        held_devices: counts.held.devices,
        held: counts.held.sorted(),
        starts_at: None,
        ends_at: None,
    }
}

fn outlook(
    subject: &Subject,
    census: &Census,
    parts: &[Part<'_>],
    attempt_time: AttemptTime,
    config: &FleetConfig,
    now: Timestamp,
) -> Outlook {
    let rollout = &subject.rollout;
    let spec = &rollout.spec;
    let goes_back = rollout.state == RolloutState::RollingBack;
    let open_phase = if goes_back {
        0
    } else {
        rollout.current_phase as usize
    };
    let interval_sec = u64::from(config.check_in_interval_sec);
    let phases = parts.iter().map(|part| PhaseOutlook {
        gate: part.gate,
        is_approved: part.place == open_phase && rollout.gate_approved_by.is_some(),
        finished: part.preview.finished,
        under_way: part.preview.under_way,
        coming: part.counts.coming(interval_sec),
        unreached: part.preview.unreached,
    });
    Outlook {
        now,
        starts_at: spec.starts_at.map_or(now, |start| start.max(now)),
        has_begun: has_begun(rollout),
        open_phase,
        sampled_at: rollout.sampled_at,
        phases: phases.collect(),
        hours: census.hours.clone(),
        attempt_sec: attempt_time.sec,
        max_in_flight: spec.max_in_flight,
        batch_size: spec.batch_size.filter(|_| !goes_back),
        pace: spec.pace,
    }
}

fn has_begun(rollout: &Rollout) -> bool {
    match rollout.state {
        RolloutState::Running | RolloutState::Paused | RolloutState::RollingBack => {
            rollout.started_at.is_some()
        }
        _ => false,
    }
}

/// Says why the end can't be told.
fn no_end(forecast: &Forecast, parts: &[Part<'_>], config: &FleetConfig) -> Option<String> {
    let named = |place: usize| {
        let part = parts.get(place);
        let name = part.map(|part| part.name.as_str()).unwrap_or_default();
        format!("phase {} ({name})", place + 1)
    };
    Some(match forecast.stops? {
        Stops::Approval { phase, from } => {
            format!("{} waits for an approval from {from} on", named(phase))
        }
        Stops::Horizon { phase } => format!("{} would last over a year from now", named(phase)),
        Stops::Unreached { phase, devices } => {
            let counts = parts.get(phase).map(|part| part.counts);
            let silent = counts.map_or(0, |counts| counts.silent);
            let unfit = counts.map_or(0, |counts| counts.unfit);
            let shut = devices.saturating_sub(silent + unfit);
            let interval_sec = config.check_in_interval_sec;
            let reasons = [
                (
                    silent,
                    format!("not seen for three check-ins ({interval_sec} seconds each)"),
                ),
                (
                    unfit,
                    "held by their battery, power, link, storage or crashes".to_owned(),
                ),
                (shut, "whose window doesn't open within a year".to_owned()),
            ];
            let reasons: Vec<String> = reasons
                .into_iter()
                .filter(|(number, _)| *number > 0)
                .map(|(number, why)| format!("{number} {why}"))
                .collect();
            format!(
                "{} waits for {} that are never reached: {}",
                named(phase),
                warnings::devices(devices),
                reasons.join(", ")
            )
        }
    })
}
