//! Keys that lead somewhere: listened to on every page, and listed in a dialog.

use leptos::prelude::*;
use leptos_router::hooks::use_navigate;
use otter_protocol::admin::Role;

use crate::browser;
use crate::components::loaded::Visitor;
use crate::components::palette;
use crate::destinations::{DESTINATIONS, Does, by_keys};
use crate::strokes::{Asked, Ear, Stroke};

const DIALOG: &str = "keys";
/// What this browser keeps the choice under.
const KEPT: &str = "otter_letters";

/// Shows the list of keys.
pub(crate) fn show() {
    browser::show_dialog(DIALOG);
}

/// Does what a destination stands for.
pub(crate) fn go(does: &Does, navigate: &impl Fn(&str)) {
    match does {
        Does::Go(path) => navigate(path),
        Does::Press(selector) => browser::press(selector),
        Does::ShowKeys => show(),
    }
}

/// Returns who is there, once that is known; read where nothing is rendered.
pub(crate) fn use_role() -> RwSignal<Option<Role>> {
    let visitor = expect_context::<Visitor>().0;
    let role = RwSignal::new(None);
    Effect::new(move |_| {
        if let Some(Ok(me)) = visitor.get() {
            role.set(Some(me.role));
        }
    });
    role
}

/// Listens, and has the dialog that lists the keys.
#[component]
pub(crate) fn Keys() -> impl IntoView {
    let role = use_role();
    let ear = RwSignal::new(Ear::default());
    listen(ear, role);
    let choose = move |event: leptos::ev::Event| {
        let hears_letters = event_target_checked(&event);
        ear.update(|ear| ear.hears_letters = hears_letters);
        browser::keep(KEPT, if hears_letters { "on" } else { "off" });
    };
    let lines = move || {
        let role = role.get().unwrap_or(Role::Viewer);
        DESTINATIONS
            .iter()
            .filter(|one| !one.keys.is_empty() && role >= one.least)
            .map(|one| view! { <div><dt>{keys(one.keys)}</dt><dd>{one.name}</dd></div> })
            .collect_view()
    };
    view! {
        <dialog class="dialog" id=DIALOG aria-labelledby="keys-title" closedby="any">
            <div class="dialog-head"><h2 id="keys-title">"Keys"</h2></div>
            // A long list on a small screen is read by scrolling.
            <div class="dialog-body" tabindex="0" role="region" aria-labelledby="keys-title">
                <dl class="key-list">
                    <div>
                        <dt><kbd>"Ctrl"</kbd> " or " <kbd>"⌘"</kbd> " " <kbd>"K"</kbd> ", " <kbd>"/"</kbd></dt>
                        <dd>"Jump to anything"</dd>
                    </div>
                    {lines}
                </dl>
                <label class="check">
                    <input type="checkbox" prop:checked=move || ear.with(|ear| ear.hears_letters) on:change=choose />
                    "Letters lead somewhere outside of fields"
                </label>
            </div>
            <form class="dialog-foot" method="dialog">
                <button class="button" type="submit" autofocus>"Close"</button>
            </form>
        </dialog>
    }
}

/// Shows keys as they are pressed, one after another.
pub(crate) fn keys(keys: &'static str) -> AnyView {
    keys.chars()
        .map(|key| view! { <kbd>{key.to_string()}</kbd> " " })
        .collect_view()
        .into_any()
}

fn listen(ear: RwSignal<Ear>, role: RwSignal<Option<Role>>) {
    let navigate = use_navigate();
    Effect::new(move |_| {
        let hears_letters = browser::kept(KEPT).as_deref() != Some("off");
        ear.update(|ear| ear.hears_letters = hears_letters);
        let navigate = navigate.clone();
        let heard = move |event: leptos::ev::KeyboardEvent| {
            let stroke = Stroke {
                key: event.key(),
                with_command: event.ctrl_key() || event.meta_key(),
                with_alt: event.alt_key(),
                in_field: browser::is_in_field(&event),
                in_dialog: browser::is_dialog_open(),
                at_ms: event.time_stamp(),
            };
            let Some(asked) = ear.try_update(|ear| ear.hear(&stroke)).flatten() else {
                return;
            };
            match asked {
                Asked::Palette => {
                    event.prevent_default();
                    palette::show();
                }
                Asked::Keys(keys) => {
                    let role = role.get_untracked().unwrap_or(Role::Viewer);
                    if let Some(destination) = by_keys(&keys, role) {
                        event.prevent_default();
                        go(&destination.does(), &|path: &str| {
                            navigate(path, Default::default())
                        });
                    }
                }
            }
        };
        let listening = window_event_listener(leptos::ev::keydown, heard);
        on_cleanup(move || listening.remove());
    });
}
