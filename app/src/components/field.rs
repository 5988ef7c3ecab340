//! A field of a form: its label, its control, a hint, and what is wrong with it.

use leptos::prelude::*;

/// A labelled control. The control itself is the child and carries `id`; a hint is `<id>-hint`, an error `<id>-error`.
#[component]
pub(crate) fn Field(
    id: &'static str,
    label: &'static str,
    /// What to write, where the label doesn't say it.
    #[prop(optional)]
    hint: &'static str,
    /// What is wrong with it.
    #[prop(optional, into)]
    error: Option<Signal<Option<String>>>,
    children: Children,
) -> impl IntoView {
    view! {
        <div class="field">
            <label for=id>{label}</label>
            {children()}
            {(!hint.is_empty()).then(|| view! { <p class="field-hint" id=format!("{id}-hint")>{hint}</p> })}
            {error.map(|error| view! {
                <p class="field-error" id=format!("{id}-error") role="alert" hidden=move || error.get().is_none()>
                    {move || error.get().unwrap_or_default()}
                </p>
            })}
        </div>
    }
}

/// Options of a select, of which one is chosen: value and text.
pub(crate) fn options(
    choices: impl IntoIterator<Item = (String, String)>,
    chosen: &str,
) -> AnyView {
    choices
        .into_iter()
        .map(|(value, text)| {
            let is_chosen = value == chosen;
            view! { <option value=value selected=is_chosen>{text}</option> }
        })
        .collect_view()
        .into_any()
}
