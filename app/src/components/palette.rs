//! The palette: from anywhere to any device, release, rollout, group, screen or action.

use std::time::Duration;

use leptos::prelude::*;
use leptos_router::hooks::use_navigate;
use otter_protocol::admin::{Found, Role};

use crate::api::find::find;
use crate::browser;
use crate::components::badge::words;
use crate::components::icon::{Icon, Shape};
use crate::components::keys::{go, keys, use_role};
use crate::destinations::{DESTINATIONS, Does};
use crate::next::{encode_segment, with_query};

const DIALOG: &str = "palette";
/// How long somebody must not have typed before the server is asked.
const PAUSE: Duration = Duration::from_millis(120);

/// Shows the palette.
pub(crate) fn show() {
    browser::show_dialog(DIALOG);
}

/// The button that opens the palette; before the wasm is there it leads to the search for devices.
#[component]
pub(crate) fn OpenPalette() -> impl IntoView {
    let open = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        show();
    };
    view! {
        <form class="find" method="get" action="/devices" on:submit=open>
            <button class="button" type="submit" aria-keyshortcuts="Control+K Meta+K" aria-label="Jump to anything" title="Jump to anything">
                <Icon shape=Shape::Search />
                <span class="find-text">"Jump to…"</span>
                <kbd class="find-text">"Ctrl K"</kbd>
            </button>
        </form>
    }
}

/// Something to choose.
#[derive(Debug, Clone, PartialEq)]
struct Choice {
    kind: &'static str,
    name: String,
    note: String,
    keys: &'static str,
    does: Does,
}

/// What was found for the text that was asked for.
#[derive(Debug, Clone, Default, PartialEq)]
struct Answer {
    found: Found,
    /// Why nothing could be found.
    problem: Option<String>,
    /// Another text is being asked for.
    is_late: bool,
}

/// The palette's state.
#[derive(Clone, Copy)]
struct Search {
    text: RwSignal<String>,
    answer: RwSignal<Answer>,
    /// How often was asked: only the last answer counts.
    asked: RwSignal<u32>,
    /// The place of what Enter would choose.
    active: RwSignal<usize>,
}

impl Search {
    fn new() -> Self {
        Self {
            text: RwSignal::new(String::new()),
            answer: RwSignal::new(Answer::default()),
            asked: RwSignal::new(0),
            active: RwSignal::new(0),
        }
    }

    /// Takes what was typed, and asks the server for it in a moment.
    fn look_for(self, text: String) {
        let wanted = text.trim().to_owned();
        self.text.set(text);
        self.active.set(0);
        self.asked.update(|asked| *asked = asked.wrapping_add(1));
        if wanted.is_empty() {
            self.answer.set(Answer::default());
            return;
        }
        self.answer.update(|answer| answer.is_late = true);
        let mine = self.asked.get_untracked();
        let is_last = move || self.asked.try_get_untracked() == Some(mine);
        let ask = move || {
            if !is_last() {
                return;
            }
            leptos::task::spawn_local(async move {
                let answer = find(wanted).await;
                if is_last() {
                    self.answer.set(match answer {
                        Ok(found) => Answer {
                            found,
                            ..Answer::default()
                        },
                        Err(error) => Answer {
                            problem: Some(error.0.detail),
                            ..Answer::default()
                        },
                    });
                }
            });
        };
        set_timeout(ask, PAUSE);
    }
}

/// The dialog.
#[component]
pub(crate) fn Palette() -> impl IntoView {
    let role = use_role();
    let search = Search::new();
    let choices = Memo::new(move |_| {
        let role = role.get().unwrap_or(Role::Viewer);
        let text = search.text.get();
        search
            .answer
            .with(|answer| choices(text.trim(), role, &answer.found))
    });
    let choose = chooser(choices);
    let pressed = move |event: leptos::ev::KeyboardEvent| {
        let count = choices.with_untracked(Vec::len);
        let here = search.active.get_untracked();
        let Some(there) = moved(&event.key(), here, count) else {
            if event.key() == "Enter" && !event.is_composing() {
                event.prevent_default();
                choose(here);
            }
            return;
        };
        event.prevent_default();
        search.active.set(there);
        browser::bring_into_view(&option_id(there));
    };
    let count = move || choices.with(Vec::len);
    view! {
        <dialog
            class="dialog palette"
            id=DIALOG
            aria-label="Jump to anything"
            closedby="any"
            on:close=move |_| search.look_for(String::new())
        >
            <input
                type="text"
                role="combobox"
                aria-label="Device, release, rollout, group, screen or action"
                placeholder="A name, screen or action"
                aria-expanded=move || (count() > 0).to_string()
                aria-controls="palette-list"
                aria-autocomplete="list"
                aria-activedescendant=move || (count() > 0).then(|| option_id(search.active.get()))
                autocomplete="off"
                autocapitalize="off"
                spellcheck="false"
                maxlength="200"
                prop:value=move || search.text.get()
                on:input=move |event| search.look_for(event_target_value(&event))
                on:keydown=pressed
            />
            <ul role="listbox" id="palette-list" aria-label="Where to" hidden=move || count() == 0>
                {move || choices.get().into_iter().enumerate().map(|(place, choice)| option(place, choice, search.active, choose)).collect_view()}
            </ul>
            <p class="palette-note" role="status">{move || note(&search.text.get(), count(), &search.answer.get())}</p>
        </dialog>
    }
}

/// Returns what goes where a choice leads.
fn chooser(choices: Memo<Vec<Choice>>) -> impl Fn(usize) + Copy + Send + Sync + 'static {
    let navigate = use_navigate();
    let choose = move |place: usize| {
        let chosen = choices.with_untracked(|choices| choices.get(place).cloned());
        if let Some(choice) = chosen {
            browser::close_dialog(DIALOG);
            go(&choice.does, &|path: &str| {
                navigate(path, Default::default())
            });
        }
    };
    // Nobody chooses on the server, and there what belongs to one thread may be dropped by another, which panics.
    let choose = cfg!(feature = "hydrate").then(|| StoredValue::new_local(choose));
    move |place| {
        if let Some(choose) = choose {
            choose.with_value(|choose| choose(place));
        }
    }
}

fn option_id(place: usize) -> String {
    format!("palette-{place}")
}

fn option(
    place: usize,
    choice: Choice,
    active: RwSignal<usize>,
    choose: impl Fn(usize) + Copy + Send + Sync + 'static,
) -> impl IntoView {
    view! {
        <li
            role="option"
            id=option_id(place)
            aria-selected=move || (active.get() == place).to_string()
            on:mousemove=move |_| active.set(place)
            on:click=move |_| choose(place)
        >
            <span class="palette-kind">{choice.kind}</span>
            <span class="palette-name">{choice.name}</span>
            <span class="hint end">{choice.note}</span>
            {(!choice.keys.is_empty()).then(|| view! { <span class="palette-keys">{keys(choice.keys)}</span> })}
        </li>
    }
}

/// Says what the list can't.
fn note(text: &str, count: usize, answer: &Answer) -> String {
    match (&answer.problem, text.trim().is_empty()) {
        (Some(problem), _) => problem.clone(),
        (None, true) => String::new(),
        (None, false) if answer.is_late && count == 0 => "Searching…".to_owned(),
        (None, false) if count == 0 => "Nothing has that in its name.".to_owned(),
        (None, false) if count == 1 => "1 found".to_owned(),
        (None, false) => format!("{count} found"),
    }
}

/// Returns where a key leads in a list.
fn moved(key: &str, here: usize, count: usize) -> Option<usize> {
    let last = count.checked_sub(1)?;
    match key {
        "ArrowDown" => Some(if here >= last { 0 } else { here + 1 }),
        "ArrowUp" => Some(here.checked_sub(1).unwrap_or(last)),
        "PageDown" => Some((here + 8).min(last)),
        "PageUp" => Some(here.saturating_sub(8)),
        _ => None,
    }
}

/// Returns what can be chosen: screens and actions that a text means, then what was found for it.
fn choices(text: &str, role: Role, found: &Found) -> Vec<Choice> {
    let known = DESTINATIONS
        .iter()
        .filter(|one| role >= one.least && one.is_meant_by(text))
        .map(|one| Choice {
            kind: one.kind,
            name: one.name.to_owned(),
            note: String::new(),
            keys: one.keys,
            does: one.does(),
        });
    let thing = |kind, name: String, note, path| Choice {
        kind,
        name,
        note,
        keys: "",
        does: Does::Go(path),
    };
    let rollouts = found.rollouts.iter().map(|rollout| {
        let note = format!("#{}, {}", rollout.id, words(rollout.state.as_str()));
        let path = format!("/rollouts/{}", rollout.id);
        thing("Rollout", rollout.name.clone(), note, path)
    });
    let releases = found.releases.iter().map(|release| {
        let note = format!("#{}, {}", release.id, release.state.as_str());
        let path = format!("/releases/{}", release.id);
        thing("Release", release.version.to_string(), note, path)
    });
    let devices = found.devices.iter().map(|device| {
        let note = format!("{}, {}", device.model, device.version);
        let path = format!("/devices/{}", encode_segment(device.id.as_str()));
        thing("Device", device.id.to_string(), note, path)
    });
    let groups = found.groups.iter().map(|group| {
        let path = with_query("/devices", &[("group", group.as_str())]);
        thing("Group", group.to_string(), "its devices".to_owned(), path)
    });
    let found = rollouts.chain(releases).chain(devices).chain(groups);
    known.chain(found).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn arrows_go_round_and_pages_stop_at_the_ends() {
        assert_eq!(moved("ArrowDown", 2, 3), Some(0));
        assert_eq!(moved("ArrowUp", 0, 3), Some(2));
        assert_eq!(moved("PageDown", 0, 3), Some(2));
        assert_eq!(moved("PageUp", 2, 3), Some(0));
        assert_eq!(moved("ArrowDown", 0, 0), None);
        assert_eq!(moved("a", 0, 3), None);
    }

    #[test]
    fn nobody_is_offered_what_would_be_refused() {
        let names = |role| -> Vec<String> {
            let all = choices("", role, &Found::default());
            all.into_iter().map(|choice| choice.name).collect()
        };
        assert!(!names(Role::Viewer).contains(&"New rollout".to_owned()));
        assert!(names(Role::Operator).contains(&"New rollout".to_owned()));
        assert!(!names(Role::Operator).contains(&"Settings".to_owned()));
        assert_eq!(names(Role::Admin).len(), DESTINATIONS.len());
    }

    #[test]
    fn what_was_found_leads_to_its_page() {
        let found: Found = serde_json::from_value(json!({
            "devices": [{"id": "site/1", "model": "rpi4", "version": "1.0.0"}],
            "releases": [{"id": 3, "version": "1.0.0", "state": "draft"}],
            "rollouts": [{"id": 7, "name": "June", "state": "rolling_back"}],
            "groups": ["pilot"],
        }))
        .unwrap();
        let all = choices("zzz", Role::Viewer, &found);
        let paths: Vec<_> = all.iter().map(|choice| choice.does.clone()).collect();
        let go = |path: &str| Does::Go(path.to_owned());
        assert_eq!(
            paths,
            [
                go("/rollouts/7"),
                go("/releases/3"),
                go("/devices/site%2F1"),
                go("/devices?group=pilot")
            ]
        );
        assert_eq!(all[0].note, "#7, rolling back");
    }
}
