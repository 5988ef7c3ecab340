//! What the fleet ran when: versions stacked over time.

use std::fmt::Write;

use leptos::prelude::*;
use otter_protocol::timeline::{Sample, Span, Timeline};

use crate::clock::{exact, exact_span};

/// The drawing's width and height, in units of its own.
const WIDTH: f64 = 1000.0;
const HEIGHT: f64 = 200.0;
/// Lines of the table, at most.
const LINES: usize = 13;

/// A hue for each place in a list, far from its neighbours'.
pub(crate) fn hue(place: usize) -> usize {
    (190 + place * 67) % 360
}

/// The versions of a timeline, stacked, with a table that says the same.
#[component]
pub(crate) fn VersionTimeline(timeline: Timeline) -> impl IntoView {
    let span = timeline.span;
    let switch = Span::ALL.map(|one| {
        let path = format!("/?span={}", one.as_str());
        view! { <a class="button" data-size="small" href=path aria-current=(one == span).then_some("true")>{one.as_str()}</a> }
    });
    view! {
        <section class="card" aria-labelledby="timeline">
            <div class="card-head">
                <h2 id="timeline">"Versions over time"</h2>
                <nav class="button-group end" aria-label="How far back">{switch.collect_view()}</nav>
            </div>
            <div class="card-body">{body(&timeline)}</div>
        </section>
    }
}

fn body(timeline: &Timeline) -> AnyView {
    let Some(newest) = timeline.samples.last() else {
        let text = "Nothing has been counted yet: the fleet is counted every minute or so, while the server runs.";
        return view! { <p class="hint">{text}</p> }.into_any();
    };
    let now: Vec<String> = lines(timeline, newest)
        .map(|(name, devices)| format!("{devices} on {name}"))
        .collect();
    let label = format!("Devices by version; at last {}", now.join(", "));
    let areas = areas(timeline).into_iter().enumerate().map(|(place, path)| {
        let is_other = place == timeline.versions.len();
        view! { <path d=path class="area" data-other=is_other.then_some("") style=format!("--hue:{}", hue(place)) /> }
    });
    let slices = slices(timeline).into_iter().map(|(x, width, sample)| {
        let words: Vec<String> = lines(timeline, sample)
            .map(|(name, devices)| format!("{name}: {devices}"))
            .collect();
        let title = format!("{}\n{}", exact(sample.at), words.join("\n"));
        view! { <rect class="slice" x=x y="0" width=width height=HEIGHT><title>{title}</title></rect> }
    });
    let legend = lines(timeline, newest).enumerate().map(|(place, (name, devices))| {
        let is_other = place == timeline.versions.len();
        view! {
            <li class="area-key" data-other=is_other.then_some("") style=format!("--hue:{}", hue(place))>
                {name} " " <strong>{devices}</strong>
            </li>
        }
    });
    let quarters = [4_u64, 3, 2, 1].map(|quarter| {
        let ago = exact_span(timeline.span.sec() / 4 * quarter);
        view! { <span>{ago} " ago"</span> }
    });
    view! {
        <figure class="chart">
            <svg viewBox=format!("0 0 {WIDTH} {HEIGHT}") preserveAspectRatio="none" role="img" aria-label=label>
                {areas.collect_view()}
                {slices.collect_view()}
            </svg>
            <div class="chart-axis" aria-hidden="true">{quarters.collect_view()} <span>"now"</span></div>
        </figure>
        <ul class="bar-legend" aria-label="Devices now">{legend.collect_view()}</ul>
        {table(timeline)}
    }
    .into_any()
}

/// Returns a sample's counts by name; that of other versions where the timeline has any.
fn lines<'a>(
    timeline: &'a Timeline,
    sample: &'a Sample,
) -> impl Iterator<Item = (String, u64)> + 'a {
    let named = timeline.versions.iter().map(ToString::to_string);
    let others = timeline.samples.iter().any(|sample| sample.others > 0);
    let other = others.then(|| ("other versions".to_owned(), sample.others));
    named.zip(sample.devices.iter().copied()).chain(other)
}

fn table(timeline: &Timeline) -> impl IntoView + use<> {
    let every = timeline.samples.len().div_ceil(LINES).max(1);
    let rows: Vec<_> = timeline
        .samples
        .iter()
        .rev()
        .step_by(every)
        .map(|sample| {
            let cells: Vec<_> = lines(timeline, sample)
                .map(|(_, devices)| view! { <td class="num">{devices}</td> })
                .collect();
            view! { <tr><th scope="row">{exact(sample.at)}</th>{cells}</tr> }
        })
        .collect();
    let heads: Vec<_> = timeline
        .samples
        .last()
        .map(|newest| {
            lines(timeline, newest)
                .map(|(name, _)| view! { <th scope="col" class="num">{name}</th> })
                .collect()
        })
        .unwrap_or_default();
    view! {
        <details>
            <summary>"As a table"</summary>
            <div class="table-wrap" tabindex="0" role="group" aria-label="Versions over time">
                <table class="table">
                    <thead><tr><th scope="col">"Time"</th>{heads}</tr></thead>
                    <tbody>{rows}</tbody>
                </table>
            </div>
        </details>
    }
}

/// Returns where a time lies from left to right.
fn x_of(timeline: &Timeline, at: otter_protocol::Timestamp) -> f64 {
    let span_ms = timeline.span.sec() as f64 * 1000.0;
    let before = (timeline.until.0 - at.0) as f64;
    ((1.0 - before / span_ms) * WIDTH).clamp(0.0, WIDTH)
}

/// Returns the areas, the lowest first: one for each version, and one for all others where there are any. Each sample holds
/// until the next.
fn areas(timeline: &Timeline) -> Vec<String> {
    let samples = &timeline.samples;
    let most = samples.iter().map(Sample::total).max().unwrap_or(0).max(1) as f64;
    let count = samples
        .first()
        .map_or(0, |sample| lines(timeline, sample).count());
    let mut floors = vec![0_u64; samples.len()];
    let y_of = |devices: u64| HEIGHT - devices as f64 / most * HEIGHT;
    (0..count)
        .map(|place| {
            let (mut top, mut bottom) = (String::new(), Vec::new());
            for (at, (sample, floor)) in samples.iter().zip(&mut floors).enumerate() {
                let devices = lines(timeline, sample)
                    .nth(place)
                    .map_or(0, |(_, devices)| devices);
                let from = x_of(timeline, sample.at);
                let until = samples
                    .get(at + 1)
                    .map_or(WIDTH, |next| x_of(timeline, next.at));
                let (low, high) = (y_of(*floor), y_of(*floor + devices));
                let step = if at == 0 { 'M' } else { 'L' };
                // Writing to a text can't fail.
                let _ = write!(top, "{step}{from:.1} {high:.1}L{until:.1} {high:.1}");
                bottom.push(format!("L{until:.1} {low:.1}L{from:.1} {low:.1}"));
                *floor += devices;
            }
            bottom.reverse();
            format!("{top}{}Z", bottom.concat())
        })
        .collect()
}

/// Returns where each sample is pointed at: from itself to the next.
fn slices(timeline: &Timeline) -> Vec<(f64, f64, &Sample)> {
    let samples = &timeline.samples;
    let ends = samples.iter().skip(1).map(|next| x_of(timeline, next.at));
    samples
        .iter()
        .zip(ends.chain([WIDTH]))
        .map(|(sample, until)| {
            let from = x_of(timeline, sample.at);
            (from, (until - from).max(0.0), sample)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use otter_protocol::Timestamp;

    use super::*;

    fn timeline(samples: &[(u64, &[u64], u64)]) -> Timeline {
        let until = Timestamp(1_767_225_600_000);
        Timeline {
            span: Span::Hour,
            until,
            versions: vec!["1.0.0".into(), "1.1.0".into()],
            samples: samples
                .iter()
                .map(|(ago, devices, others)| Sample {
                    at: until.minus_sec(*ago),
                    devices: devices.to_vec(),
                    others: *others,
                })
                .collect(),
            check_ins_per_minute: 0,
        }
    }

    #[test]
    fn areas_lie_upon_each_other_and_fill_the_height_where_most_devices_are() {
        let of = timeline(&[(1800, &[4, 0], 0), (900, &[1, 3], 0)]);
        assert_eq!(
            areas(&of),
            [
                "M500.0 0.0L750.0 0.0L750.0 150.0L1000.0 150.0L1000.0 200.0L750.0 200.0L750.0 200.0L500.0 200.0Z",
                "M500.0 0.0L750.0 0.0L750.0 0.0L1000.0 0.0L1000.0 150.0L750.0 150.0L750.0 0.0L500.0 0.0Z",
            ]
        );
    }

    #[test]
    fn other_versions_are_one_area_where_there_are_any() {
        assert_eq!(areas(&timeline(&[(60, &[1, 1], 0)])).len(), 2);
        assert_eq!(
            areas(&timeline(&[(60, &[1, 1], 7), (0, &[1, 1], 0)])).len(),
            3
        );
        assert!(areas(&timeline(&[])).is_empty());
    }

    #[test]
    fn each_moment_belongs_to_one_sample() {
        let of = timeline(&[(7200, &[1, 0], 0), (1800, &[1, 0], 0), (0, &[1, 0], 0)]);
        let places: Vec<_> = slices(&of)
            .iter()
            .map(|(x, width, _)| (*x, *width))
            .collect();
        assert_eq!(places, [(0.0, 500.0), (500.0, 500.0), (1000.0, 0.0)]);
    }
}
