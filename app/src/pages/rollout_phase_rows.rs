//! The rows of a rollout's phases: added and removed with the wasm, a fixed number of them without.

use leptos::prelude::*;

/// Rows of the form without the wasm; those that stay empty don't count.
const ROWS: usize = 5;
/// Rows that are filled in at first: share, finished attempts, soak and failures.
const FIRST: [[&str; 4]; 3] = [
    ["5", "", "10m", "5"],
    ["25", "", "30m", "5"],
    ["100", "", "0", "5"],
];

/// The rows.
#[component]
pub(crate) fn PhaseRows(error: Signal<Option<String>>) -> impl IntoView {
    let rows = RwSignal::new((0..ROWS).collect::<Vec<usize>>());
    let is_ready = RwSignal::new(false);
    Effect::new(move |_| {
        is_ready.set(true);
        rows.update(|rows| rows.retain(|row| *row < FIRST.len() || is_filled(*row)));
    });
    let add = move |_| rows.update(|rows| rows.push(rows.iter().max().map_or(0, |last| last + 1)));
    view! {
        <fieldset class="stack" style="--gap:var(--s2)">
            <legend class="section-title">"Phases"</legend>
            <p class="field-hint" id="phases-hint">
                "Each opens a larger share. The next begins once enough attempts have finished (all, where it is empty), the soak time is over and the failures are within their limit."
            </p>
            <div class="phase-rows" role="group" aria-label="Phases">
                <For each=move || rows.get() key=|row| *row let:row>
                    <PhaseRow row rows is_ready />
                </For>
            </div>
            <p class="field-error" role="alert" hidden=move || error.get().is_none()>{move || error.get().unwrap_or_default()}</p>
            <div class="row" hidden=move || !is_ready.get()>
                <button class="button" data-size="small" type="button" on:click=add>"Add phase"</button>
            </div>
        </fieldset>
    }
}

/// Columns: the field's name, its label, an example.
const COLUMNS: [(&str, &str, &str); 4] = [
    ("share", "Share in %", "25"),
    ("min_finished", "Finished attempts", "all"),
    ("soak", "Soak time", "10m"),
    ("max_failures", "Failures at most, in %", "no limit"),
];

#[component]
fn PhaseRow(row: usize, rows: RwSignal<Vec<usize>>, is_ready: RwSignal<bool>) -> impl IntoView {
    let first = FIRST.get(row).copied().unwrap_or_default();
    let place = move || {
        rows.with(|rows| {
            rows.iter()
                .position(|other| *other == row)
                .map_or(row, |place| place)
                + 1
        })
    };
    let cells = COLUMNS.iter().zip(first).map(|((name, label, example), value)| {
        let id = format!("phase-{row}-{name}");
        view! {
            <div class="field">
                <label for=id.clone()>
                    <span class="visually-hidden">{move || format!("Phase {}: ", place())}</span>
                    {*label}
                </label>
                <input id=id name=format!("form[phases][{row}][{name}]") value=value placeholder=*example aria-describedby="phases-hint" />
            </div>
        }
    });
    let is_only = move || rows.with(|rows| rows.len() < 2);
    view! {
        <div class="phase-row">
            <span class="phase-number" aria-hidden="true">{place}</span>
            {cells.collect_view()}
            <button
                class="icon-button"
                type="button"
                hidden=move || !is_ready.get()
                disabled=is_only
                aria-label=move || format!("Remove phase {}", place())
                title="Remove"
                on:click=move |_| rows.update(|rows| rows.retain(|other| *other != row))
            >
                "✕"
            </button>
        </div>
    }
}

/// Tells whether somebody has filled a row in before the wasm was there.
#[cfg(feature = "hydrate")]
fn is_filled(row: usize) -> bool {
    use wasm_bindgen::JsCast;
    let input = document().get_element_by_id(&format!("phase-{row}-share"));
    let input = input.and_then(|input| input.dyn_into::<web_sys::HtmlInputElement>().ok());
    input.is_some_and(|input| !input.value().is_empty())
}

#[cfg(not(feature = "hydrate"))]
fn is_filled(_: usize) -> bool {
    true
}
