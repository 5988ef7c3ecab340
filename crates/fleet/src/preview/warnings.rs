//! What whoever starts a rollout should know.

use otter_protocol::Timestamp;
use otter_protocol::admin::{PreviewConcern, PreviewWarning};
use otter_protocol::preview::{Forecast, Hours};
use otter_protocol::rollout::{Audience, CohortKind, PhaseScope, Rollout, RolloutState};
use otter_protocol::window::{Joint, joint_opening};

use super::NOT_MADE;
use super::answer::Part;
use super::census::Census;

pub(super) fn warnings(
    rollout: &Rollout,
    census: &Census,
    parts: &[Part<'_>],
    forecast: &Forecast,
    now: Timestamp,
) -> Vec<PreviewWarning> {
    let mut warnings = Vec::new();
    let mut warn = |about, phase: Option<usize>, text: String| {
        let phase = phase.and_then(|phase| u32::try_from(phase).ok());
        warnings.push(PreviewWarning { about, phase, text });
    };
    if let Some(text) = of_person(rollout) {
        warn(PreviewConcern::Person, None, text);
    }
    if census.audience == 0 {
        let text = if census.devices == 0 {
            "No device of the release's models takes part.".to_owned()
        } else {
            format!("The rollout is for none of {}.", devices(census.devices))
        };
        warn(PreviewConcern::NoAudience, None, text);
    }
    for part in parts {
        if let Some((about, text)) = of_phase(rollout, part, census.audience) {
            warn(about, Some(part.place), text);
        }
    }
    for (id, (name, taken)) in &census.taken {
        let text = format!("Rollout {id} ({name}) gets {} first.", devices(*taken));
        warn(PreviewConcern::Priority, None, text);
    }
    for hours in &census.hours {
        if is_shut(hours, now) {
            let zone = hours.zone.as_deref().unwrap_or("UTC");
            let text = format!("For devices in the zone {zone} no window opens within a year.");
            warn(PreviewConcern::Window, None, text);
        }
    }
    let silent: u64 = parts.iter().map(|part| part.counts.silent).sum();
    if silent > 0 {
        let text = format!(
            "{} weren't seen for three check-ins; the forecast leaves them out.",
            devices(silent)
        );
        warn(PreviewConcern::Silent, None, text);
    }
    if forecast.ends_at.is_some() && forecast.left > 0 {
        let text = format!(
            "{} of earlier phases still wait when the last phase is over, and are left behind.",
            devices(forecast.left)
        );
        warn(PreviewConcern::LeftBehind, None, text);
    }
    if rollout.id == NOT_MADE && is_cut_by_its_number(rollout) {
        let text = "Which devices go first depends on the rollout's number, which it gets when it is made: the counts by \
                    phase will differ a little."
            .to_owned();
        warn(PreviewConcern::Cohort, None, text);
    }
    warnings
}

fn of_person(rollout: &Rollout) -> Option<String> {
    let id = rollout.id;
    let needs_approval = rollout.spec.needs_approval && rollout.approved_by.is_none();
    match rollout.state {
        RolloutState::Paused => Some(format!(
            "Rollout {id} is paused; the forecast takes it that it goes on now."
        )),
        RolloutState::Draft | RolloutState::AwaitingApproval if needs_approval => Some(
            "It begins once somebody else approves it; the forecast takes it that this happens now."
                .to_owned(),
        ),
        RolloutState::Draft if id != NOT_MADE => Some(format!(
            "Rollout {id} is a draft; the forecast takes it that it is started now."
        )),
        _ => None,
    }
}

fn of_phase(rollout: &Rollout, part: &Part<'_>, audience: u64) -> Option<(PreviewConcern, String)> {
    let (name, preview) = (&part.name, &part.preview);
    if preview.devices == 0 && audience > 0 && rollout.state != RolloutState::RollingBack {
        let text = format!("Phase {name} takes in no device.");
        return Some((PreviewConcern::EmptyPhase, text));
    }
    let needed = u64::from(part.gate.min_finished?);
    let text = format!(
        "The gate of phase {name} waits for {needed} finished attempts, and it has {}: it opens when all of them are done.",
        devices(preview.devices)
    );
    (preview.devices > 0 && needed > preview.devices).then_some((PreviewConcern::Sample, text))
}

fn is_shut(hours: &Hours, now: Timestamp) -> bool {
    let windows: Vec<_> = hours.windows.iter().collect();
    let joint = joint_opening(&windows, now, hours.zone.as_deref());
    matches!(joint, Joint::Closed { opens_at: None, .. })
}

fn is_cut_by_its_number(rollout: &Rollout) -> bool {
    let spec = &rollout.spec;
    let is_cut = matches!(spec.audience, Audience::Percent { .. })
        || spec
            .phases
            .iter()
            .any(|phase| matches!(phase.scope, PhaseScope::Share { share } if share < otter_protocol::Share::ALL));
    spec.cohort == CohortKind::Spread && is_cut
}

/// Returns a number of devices in words.
pub(super) fn devices(number: u64) -> String {
    match number {
        1 => "1 device".to_owned(),
        number => format!("{number} devices"),
    }
}
