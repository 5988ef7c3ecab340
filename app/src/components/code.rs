//! Text to copy: commands, and secrets that are shown once.

use leptos::prelude::*;

use crate::components::icon::{Icon, Shape};

/// A command or text with a button that copies it.
#[component]
pub(crate) fn Code(
    #[prop(into)] text: String,
    /// What it is, to those who don't see it.
    label: &'static str,
) -> impl IntoView {
    let copied = RwSignal::new(false);
    let to_copy = text.clone();
    let copy = move |_| {
        #[cfg(feature = "hydrate")]
        copy_text(to_copy.clone(), copied);
        #[cfg(not(feature = "hydrate"))]
        let _ = &to_copy;
    };
    view! {
        <div class="code" role="group" aria-label=label>
            // A command can be longer than its box: with the keyboard it is read by scrolling.
            <pre tabindex="0" aria-label=label role="region">
                <code>{text}</code>
            </pre>
            <button class="icon-button copy-button" type="button" title="Copy" aria-label=format!("Copy {label}") on:click=copy>
                {move || view! { <Icon shape=if copied.get() { Shape::Check } else { Shape::Copy } /> }}
            </button>
            <span class="visually-hidden" role="status">{move || if copied.get() { "Copied" } else { "" }}</span>
        </div>
    }
}

/// Copies a text, and says so for a moment.
#[cfg(feature = "hydrate")]
fn copy_text(text: String, copied: RwSignal<bool>) {
    leptos::task::spawn_local(async move {
        let written = window().navigator().clipboard().write_text(&text);
        if wasm_bindgen_futures::JsFuture::from(written).await.is_ok() {
            copied.set(true);
            set_timeout(
                move || {
                    copied.try_set(false);
                },
                std::time::Duration::from_secs(2),
            );
        }
    });
}
