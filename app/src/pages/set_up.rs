//! The first account.

use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::hooks::use_query_map;

use crate::api::session::SetUp as SetUpAction;
use crate::components::field::Field;
use crate::components::problem::action_problem;
use crate::pages::login::Brand;

/// Makes the first account, an admin's, with the one-time link's secret.
#[component]
pub(crate) fn SetUp() -> impl IntoView {
    let action = ServerAction::<SetUpAction>::new();
    let secret = use_query_map()
        .read_untracked()
        .get("secret")
        .unwrap_or_default();
    view! {
        <Title text="Set up" />
        <main class="centred">
            <div class="card">
                <div class="card-body">
                    <Brand />
                    <h1>"Set up"</h1>
                    <p class="hint">"Make the first account. It is an admin's: it may do everything, and make the others."</p>
                    {action_problem(move || action.value().get())}
                    <ActionForm action=action>
                        <div class="form">
                            <input type="hidden" name="secret" value=secret />
                            <Field id="name" label="Name">
                                <input id="name" name="name" autocomplete="username" autocapitalize="none" spellcheck="false" required autofocus />
                            </Field>
                            <Field id="password" label="Password" hint="At least 12 characters.">
                                <input
                                    id="password"
                                    name="password"
                                    type="password"
                                    autocomplete="new-password"
                                    minlength="12"
                                    required
                                    aria-describedby="password-hint"
                                />
                            </Field>
                            <button class="button" data-kind="primary" type="submit" aria-busy=move || action.pending().get().to_string()>
                                "Make the account"
                            </button>
                        </div>
                    </ActionForm>
                </div>
            </div>
        </main>
    }
    .into_any()
}
