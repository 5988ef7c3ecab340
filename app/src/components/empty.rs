//! Empty places, which teach the next step.

use leptos::prelude::*;

use crate::components::code::Code;
use crate::components::icon::{Icon, Shape};

/// An empty place: what would stand here, and the command that brings it. Children are buttons.
#[component]
pub(crate) fn Empty(
    shape: Shape,
    title: &'static str,
    text: &'static str,
    #[prop(optional)] command: &'static str,
    #[prop(optional)] children: Option<Children>,
) -> impl IntoView {
    view! {
        <div class="empty">
            <Icon shape />
            <h2>{title}</h2>
            <p>{text}</p>
            {(!command.is_empty()).then(|| view! { <Code text=command label="command" /> })}
            {children.map(|children| children())}
        </div>
    }
}
