//! A device as the story of its attempts: each with its steps, in the device's own words.

use std::collections::BTreeMap;

use leptos::prelude::*;
use otter_protocol::admin::{AttemptDetail, DeviceDetail};
use otter_protocol::check_in::AttemptStep;
use otter_protocol::{RolloutId, Version};

use crate::clock::exact_span;
use crate::components::badge::{attempt_badge, attempt_tone, words};
use crate::components::when::When;

/// All attempts, the newest first.
#[component]
pub(crate) fn Story(device: DeviceDetail) -> impl IntoView {
    let is_empty = device.attempts.is_empty();
    let attempts: Vec<_> = device
        .attempts
        .into_iter()
        .enumerate()
        .map(|(place, one)| attempt(one, &device.rollout_names, place == 0))
        .collect();
    view! {
        <section class="card" aria-labelledby="story">
            <div class="card-head"><h2 id="story">"Its story"</h2></div>
            <div class="card-body">
                {is_empty.then(|| view! { <p class="hint">"No rollout has reached this device yet."</p> })}
                {attempts}
            </div>
        </section>
    }
}

fn attempt(
    one: AttemptDetail,
    names: &BTreeMap<RolloutId, String>,
    is_open: bool,
) -> impl IntoView + use<> {
    let summary = one.summary;
    let name = names
        .get(&summary.rollout)
        .cloned()
        .unwrap_or_else(|| format!("rollout {}", summary.rollout));
    let took = summary
        .finished_at
        .map(|end| exact_span(end.sec_since(summary.created_at)));
    let log = one.has_log.then(|| {
        view! {
            <a href=format!("/api/v1/attempts/{}/log", summary.id) rel="external">"Log"</a>
        }
    });
    let last_words = one
        .steps
        .last()
        .and_then(|step| step.report.message.clone());
    let steps: Vec<_> = one
        .steps
        .into_iter()
        .map(|one| step(one, &summary.from_version))
        .collect();
    let closing = summary
        .message
        .clone()
        .filter(|message| Some(message) != last_words.as_ref());
    view! {
        <details class="attempt" open=is_open>
            <summary>
                <span class="attempt-title">{format!("{} → {}", summary.from_version, summary.version)}</span>
                {attempt_badge(summary.state, summary.progress)}
                <span class="hint end"><When at=summary.created_at /></span>
            </summary>
            <p class="row hint">
                <a href=format!("/rollouts/{}", summary.rollout)>{name}</a>
                {took.map(|took| format!("· took {took}"))}
                {log}
            </p>
            {closing.map(|message| view! { <p class="quote">{message}</p> })}
            <ol class="timeline" aria-label=format!("Steps of attempt {}", summary.id)>
                <li data-tone="neutral">
                    <div class="timeline-body"><strong>"offered"</strong> " by the server"</div>
                    <div class="timeline-time"><When at=summary.created_at /></div>
                </li>
                {steps}
            </ol>
        </details>
    }
}

fn step(step: AttemptStep, before: &Version) -> impl IntoView + use<> {
    let report = step.report;
    let progress = report.progress.map(|progress| format!(" {progress} %"));
    // That it still runs what it ran is nothing new.
    let version = report.version.filter(|version| version != before);
    let version = version.map(|version| format!(", runs {version}"));
    view! {
        <li data-tone=attempt_tone(report.state)>
            <div class="timeline-body">
                <strong>{words(report.state.as_str())}</strong>
                {progress}
                <span class="hint">{version}</span>
                {report.message.map(|message| view! { <p class="quote">{message}</p> })}
            </div>
            <div class="timeline-time"><When at=step.received_at /></div>
        </li>
    }
}
