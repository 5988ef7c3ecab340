//! Making a rollout; the form works without the wasm, too.

use leptos::prelude::*;
use leptos_router::hooks::use_query_map;
use otter_protocol::admin::Role;

use crate::api::ApiError;
use crate::api::rollouts::{CreateRollout, RolloutChoices, get_rollout_choices};
use crate::components::empty::Empty;
use crate::components::field::{Field, options};
use crate::components::icon::Shape;
use crate::components::loaded::loaded;
use crate::components::page_head::PageHead;
use crate::components::problem::{ProblemNotice, page_problem};
use crate::pages::rollout_phase_rows::PhaseRows;

/// The form's page.
#[component]
pub(crate) fn NewRollout() -> impl IntoView {
    let create = ServerAction::<CreateRollout>::new();
    let chosen = use_query_map()
        .read_untracked()
        .get("release")
        .unwrap_or_default();
    let loading = Resource::new_blocking(|| (), |()| get_rollout_choices());
    loaded(loading, move |choices, role| {
        if role < Role::Operator {
            let detail = "Making a rollout needs the role operator.";
            return page_problem(&ApiError::new(
                otter_protocol::ProblemCode::Forbidden,
                detail,
            ));
        }
        page(choices, chosen.clone(), create).into_any()
    })
    .into_any()
}

fn page(
    choices: RolloutChoices,
    chosen: String,
    create: ServerAction<CreateRollout>,
) -> impl IntoView {
    let is_empty = choices.releases.is_empty();
    view! {
        <div class="page">
            <PageHead title="New rollout" above=("/rollouts", "Rollouts") hint="It begins at once, unless you give it a start.".into_any() />
            {if is_empty {
                view! {
                    <div class="card">
                        <Empty
                            shape=Shape::Release
                            title="No published release"
                            text="A rollout brings a release that is signed. Publish one first."
                            command="otter release publish --help"
                        >
                            <a class="button" href="/releases">"Go to the releases"</a>
                        </Empty>
                    </div>
                }
                .into_any()
            } else {
                form(choices, chosen, create).into_any()
            }}
        </div>
    }
}

fn form(
    choices: RolloutChoices,
    chosen: String,
    create: ServerAction<CreateRollout>,
) -> impl IntoView {
    let problem = move || create.value().get().and_then(Result::err);
    let about = move |field: &'static str| {
        Signal::derive(move || problem().and_then(|problem| problem.about(field)))
    };
    let phases = Signal::derive(move || {
        let problem = problem()?.0;
        problem
            .field
            .filter(|field| field.starts_with("phases"))
            .map(|field| match place_in(&field) {
                Some(place) => format!("Phase {place}: {}", problem.detail),
                None => problem.detail,
            })
    });
    let ask = std::iter::once((String::new(), "Choose a release".to_owned()));
    let releases = choices
        .releases
        .into_iter()
        .map(|(id, text)| (id.to_string(), text));
    let releases = options(ask.chain(releases), &chosen);
    view! {
        <ActionForm action=create>
            <div class="stack rollout-form">
                {move || problem().map(|error| view! { <ProblemNotice error /> })}
                <section class="card" aria-labelledby="what">
                    <div class="card-head"><h2 id="what">"What and for whom"</h2></div>
                    <div class="card-body">
                        <div class="form">
                            <Field id="name" label="Name" error=about("name")>
                                <input id="name" name="form[name]" required maxlength="200" placeholder="June update" />
                            </Field>
                            <Field id="release" label="Release" error=about("release")>
                                <select id="release" name="form[release]" required>{releases}</select>
                            </Field>
                            {audience(choices.groups, about)}
                        </div>
                    </div>
                </section>
                <section class="card" aria-label="Phases">
                    <div class="card-body">
                        <PhaseRows error=phases />
                    </div>
                </section>
                <section class="card" aria-labelledby="limits">
                    <div class="card-head"><h2 id="limits">"Limits"</h2></div>
                    <div class="card-body">
                        <div class="form">
                            {limits(about)}
                            <details>
                                <summary>"More"</summary>
                                {more(about)}
                            </details>
                        </div>
                    </div>
                </section>
                <div class="row">
                    <button class="button" data-kind="primary" type="submit" aria-busy=move || create.pending().get().to_string()>
                        "Start rollout"
                    </button>
                    <a class="button" data-kind="ghost" href="/rollouts">"Cancel"</a>
                </div>
            </div>
        </ActionForm>
    }
}

/// The number, from 1, of the phase that a field such as `phases[0].scope.share` is of.
fn place_in(field: &str) -> Option<usize> {
    let (place, _) = field.strip_prefix("phases[")?.split_once(']')?;
    place.parse::<usize>().ok().map(|place| place + 1)
}

fn audience<F>(groups: Vec<String>, about: F) -> impl IntoView
where
    F: Fn(&'static str) -> Signal<Option<String>> + Copy + 'static,
{
    let kinds = [
        ("all", "All devices of its models"),
        ("percent", "A share"),
        ("group", "A group"),
        ("selector", "A selector"),
        ("devices", "Listed devices"),
    ];
    let kind = RwSignal::new("all".to_owned());
    let is_ready = RwSignal::new(false);
    Effect::new(move |_| is_ready.set(true));
    // Without the wasm every kind's field is there, and the one that is chosen counts.
    let hidden = move |name: &'static str| move || is_ready.get() && kind.get() != name;
    let group_choices = options(
        std::iter::once((String::new(), "Choose a group".to_owned()))
            .chain(groups.into_iter().map(|name| (name.clone(), name))),
        "",
    );
    view! {
        <Field id="audience" label="Audience">
            <select id="audience" name="form[audience]" on:change:target=move |event| kind.set(event.target().value())>
                {kinds.map(|(value, text)| view! { <option value=value>{text}</option> }).collect_view()}
            </select>
        </Field>
        <div hidden=hidden("percent")>
            <Field id="percent" label="Share of devices, in %" error=about("percent")>
                <input id="percent" name="form[percent]" inputmode="decimal" placeholder="10" />
            </Field>
        </div>
        <div hidden=hidden("group")>
            <Field id="audience-group" label="Group" error=about("group")>
                <select id="audience-group" name="form[group]">{group_choices}</select>
            </Field>
        </div>
        <div hidden=hidden("selector")>
            <Field id="selector" label="Selector" hint="Terms on labels and metadata, joined by commas: location=warehouse,function!=sensor" error=about("selector")>
                <input id="selector" name="form[selector]" spellcheck="false" aria-describedby="selector-hint" />
            </Field>
        </div>
        <div hidden=hidden("devices")>
            <Field id="devices" label="Devices" hint="Ids, separated by commas or lines." error=about("audience.devices")>
                <textarea id="devices" name="form[devices]" rows="3" spellcheck="false" aria-describedby="devices-hint"></textarea>
            </Field>
        </div>
    }
}

fn limits<F>(about: F) -> impl IntoView
where
    F: Fn(&'static str) -> Signal<Option<String>> + Copy + 'static,
{
    view! {
        <div class="field-row">
            <Field id="in-flight" label="Attempts under way at once" hint="Empty for no limit." error=about("max_in_flight")>
                <input id="in-flight" name="form[max_in_flight]" inputmode="numeric" placeholder="no limit" aria-describedby="in-flight-hint" />
            </Field>
            <Field id="on-breach" label="When too many fail">
                <select id="on-breach" name="form[on_breach]">
                    <option value="pause">"Pause and wait for a person"</option>
                    <option value="abort">"Abort for good"</option>
                </select>
            </Field>
        </div>
    }
}

fn more<F>(about: F) -> impl IntoView
where
    F: Fn(&'static str) -> Signal<Option<String>> + Copy + 'static,
{
    let check = |name: &'static str, text: &'static str| {
        view! {
            <label class="check">
                <input type="checkbox" name=name value="on" />
                <span>{text}</span>
            </label>
        }
    };
    view! {
        <div class="form">
            <div class="field-row">
                <Field id="judgement" label="Failures are judged">
                    <select id="judgement" name="form[judgement]">
                        <option value="confident">"when it is 95 % certain"</option>
                        <option value="point">"by the rate itself"</option>
                    </select>
                </Field>
                <Field id="cohort" label="Devices that go first">
                    <select id="cohort" name="form[cohort]">
                        <option value="fixed">"The same every time"</option>
                        <option value="spread">"Others every time"</option>
                    </select>
                </Field>
            </div>
            <div class="field-row">
                <Field id="max-attempts" label="Attempts of a device" error=about("max_attempts")>
                    <input id="max-attempts" name="form[max_attempts]" inputmode="numeric" value="1" />
                </Field>
                <Field id="deadline" label="Silence until an attempt is timed out" error=about("deadline")>
                    <input id="deadline" name="form[deadline]" value="1h" />
                </Field>
            </div>
            <div class="field-row">
                <Field id="starts-at" label="Start, in UTC" hint="Empty for at once." error=about("starts_at")>
                    <input id="starts-at" name="form[starts_at]" type="datetime-local" aria-describedby="starts-at-hint" />
                </Field>
                <Field id="min-battery" label="Least battery, in %" error=about("requirements.min_battery_percent")>
                    <input id="min-battery" name="form[min_battery]" inputmode="numeric" placeholder="any" />
                </Field>
            </div>
            {check("form[needs_mains]", "Only devices on mains")}
            {check("form[avoids_metered]", "Not over metered links")}
            {check("form[allow_downgrade]", "Devices may go back to a lower version")}
        </div>
    }
}
