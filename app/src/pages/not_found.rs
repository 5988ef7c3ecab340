//! Addresses at which there is nothing.

use leptos::prelude::*;
use leptos_meta::Title;

use crate::pages::login::Brand;

/// Says that there is nothing here, and where there is something.
#[component]
pub(crate) fn NotFound() -> impl IntoView {
    #[cfg(feature = "ssr")]
    crate::api::auth::set_status(404);
    view! {
        <Title text="Not found" />
        <main class="centred">
            <div class="card">
                <div class="card-body">
                    <Brand />
                    <h1>"Not found"</h1>
                    <p>"There is nothing at this address. It may have been mistyped, or what was here is gone."</p>
                    <a class="button" data-kind="primary" href="/">"Go to the overview"</a>
                </div>
            </div>
        </main>
    }
    .into_any()
}
