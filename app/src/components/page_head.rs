//! The top of a page: where one is, its title, and what can be done here.

use leptos::prelude::*;
use leptos_meta::Title;

/// A page's head. Children are its actions.
#[component]
pub(crate) fn PageHead(
    #[prop(into)] title: String,
    /// The page above: address and name.
    #[prop(optional)]
    above: Option<(&'static str, &'static str)>,
    /// Beside the title.
    #[prop(optional, into)]
    badge: Option<AnyView>,
    /// Below the title.
    #[prop(optional, into)]
    hint: Option<AnyView>,
    #[prop(optional)] children: Option<Children>,
) -> impl IntoView {
    view! {
        <Title text=title.clone() />
        <header class="page-head">
            <div class="page-title">
                {above.map(|(href, name)| view! {
                    <nav class="crumbs" aria-label="Breadcrumb">
                        <a href=href>{name}</a>
                    </nav>
                })}
                <div class="row">
                    <h1>{title}</h1>
                    {badge}
                </div>
                {hint.map(|hint| view! { <p class="hint">{hint}</p> })}
            </div>
            {children.map(|children| view! { <div class="page-actions">{children()}</div> })}
        </header>
    }
}
