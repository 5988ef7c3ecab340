//! Logging in, second step: the code.

use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::hooks::use_query_map;

use crate::api::session::EnterCode;
use crate::components::field::Field;
use crate::components::problem::action_problem;
use crate::pages::login::Brand;

/// Asks for the second factor's code, after the password.
#[component]
pub(crate) fn LoginCode() -> impl IntoView {
    let action = ServerAction::<EnterCode>::new();
    let query = use_query_map();
    let next = query.read_untracked().get("next").unwrap_or_default();
    view! {
        <Title text="Enter your code" />
        <main class="centred">
            <div class="card">
                <div class="card-body">
                    <Brand />
                    <h1>"Enter your code"</h1>
                    {action_problem(move || action.value().get())}
                    <ActionForm action=action>
                        <div class="form">
                            <input type="hidden" name="next" value=next />
                            <Field id="code" label="Code" hint="What your authenticator shows now, or one of your recovery codes.">
                                <input
                                    id="code"
                                    name="code"
                                    autocomplete="one-time-code"
                                    autocapitalize="none"
                                    spellcheck="false"
                                    maxlength="40"
                                    required
                                    autofocus
                                    aria-describedby="code-hint"
                                />
                            </Field>
                            <button class="button" data-kind="primary" type="submit" aria-busy=move || action.pending().get().to_string()>
                                "Log in"
                            </button>
                        </div>
                    </ActionForm>
                    <p class="hint"><a href="/login" rel="external">"Begin anew"</a></p>
                </div>
            </div>
        </main>
    }
    .into_any()
}
