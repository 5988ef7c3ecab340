//! Logging in.

use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::hooks::use_query_map;

use crate::api::session::{LogIn, is_set_up};
use crate::components::field::Field;
use crate::components::problem::action_problem;

/// The login. With no account yet, it says how to make the first.
#[component]
pub(crate) fn Login() -> impl IntoView {
    let action = ServerAction::<LogIn>::new();
    let is_set_up = Resource::new_blocking(|| (), |()| is_set_up());
    let query = use_query_map();
    let next = query.read_untracked().get("next").unwrap_or_default();
    view! {
        <Title text="Log in" />
        <main class="centred">
            <div class="card">
                <div class="card-body">
                    <Brand />
                    <h1>"Log in"</h1>
                    <Suspense>
                        {move || Suspend::new(async move { matches!(is_set_up.await, Ok(false)).then(|| view! { <NoAccount /> }) })}
                    </Suspense>
                    {action_problem(move || action.value().get())}
                    <ActionForm action=action>
                        <div class="form">
                            <input type="hidden" name="next" value=next />
                            <Field id="name" label="Name">
                                <input id="name" name="name" autocomplete="username" autocapitalize="none" spellcheck="false" required autofocus />
                            </Field>
                            <Field id="password" label="Password">
                                <input id="password" name="password" type="password" autocomplete="current-password" required />
                            </Field>
                            <button class="button" data-kind="primary" type="submit" aria-busy=move || action.pending().get().to_string()>
                                "Log in"
                            </button>
                        </div>
                    </ActionForm>
                </div>
            </div>
        </main>
    }
    .into_any()
}

/// The otter, above what is asked.
#[component]
pub(crate) fn Brand() -> impl IntoView {
    view! {
        <p class="brand">
            <img src="/favicon.svg" alt="" width="26" height="26" />
            <span>"Otter"</span>
        </p>
    }
}

#[component]
fn NoAccount() -> impl IntoView {
    view! {
        <div class="notice" data-tone="info">
            <p>
                "There is no account yet. Open the one-time link that the server printed when it started; after a restart it prints a new one."
            </p>
        </div>
    }
}
