//! Confirming that it is still the same person, before keys, people or trust are changed.

use leptos::prelude::*;
use leptos_router::hooks::use_query_map;

use crate::api::account::get_account;
use crate::api::session::Confirm as ConfirmAction;
use crate::components::field::Field;
use crate::components::loaded::loaded;
use crate::components::page_head::PageHead;
use crate::components::problem::action_problem;

/// Asks for the password again, and for the code where the account has a second factor.
#[component]
pub(crate) fn Confirm() -> impl IntoView {
    let action = ServerAction::<ConfirmAction>::new();
    let query = use_query_map();
    let next = query.read_untracked().get("next").unwrap_or_default();
    let loading = Resource::new_blocking(|| (), |()| get_account());
    loaded(loading, move |account, _| {
        let next = next.clone();
        let has_code = account.recovery_codes.is_some();
        view! {
            <div class="page">
                <PageHead title="Confirm that it is you" />
                <section class="card" aria-label="Confirm">
                    <div class="card-body">
                        <p class="hint">
                            "Keys, people and second factors are changed only soon after a login. For a quarter of an hour from now, nothing asks again."
                        </p>
                        {action_problem(move || action.value().get())}
                        <ActionForm action=action>
                            <div class="form">
                                <input type="hidden" name="next" value=next />
                                <input type="hidden" autocomplete="username" value=account.name />
                                <Field id="current" label="Password">
                                    <input id="current" name="current" type="password" autocomplete="current-password" required autofocus />
                                </Field>
                                {has_code.then(|| view! {
                                    <Field id="code" label="Code" hint="What your authenticator shows now, or one of your recovery codes.">
                                        <input id="code" name="code" autocomplete="one-time-code" autocapitalize="none" spellcheck="false" required maxlength="40" aria-describedby="code-hint" />
                                    </Field>
                                })}
                                <button class="button" data-kind="primary" type="submit">"Confirm"</button>
                            </div>
                        </ActionForm>
                    </div>
                </section>
            </div>
        }
        .into_any()
    })
    .into_any()
}
