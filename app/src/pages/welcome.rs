//! Where a one-time link leads: its owner chooses a password.

use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::hooks::use_query_map;

use crate::api::session::{UseLink, get_link_owner};
use crate::components::field::Field;
use crate::components::problem::ProblemNotice;
use crate::pages::login::Brand;

/// Lets the owner of a one-time link choose a password.
#[component]
pub(crate) fn Welcome() -> impl IntoView {
    let action = ServerAction::<UseLink>::new();
    let query = use_query_map();
    let secret = query.read_untracked().get("secret").unwrap_or_default();
    let asked = secret.clone();
    let owner = Resource::new_blocking(move || asked.clone(), get_link_owner);
    let error = move || action.value().get().and_then(Result::err);
    let about = move |field: &'static str| {
        Signal::derive(move || error().and_then(|error| error.about(field)))
    };
    view! {
        <Title text="Choose a password" />
        <main class="centred">
            <div class="card">
                <div class="card-body">
                    <Brand />
                    <h1>"Choose a password"</h1>
                    {move || error().filter(|error| error.0.field.is_none()).map(|error| view! { <ProblemNotice error /> })}
                    <Suspense>
                        {move || {
                            let secret = secret.clone();
                            Suspend::new(async move {
                                match owner.await {
                                    Err(error) => view! { <ProblemNotice error /> }.into_any(),
                                    Ok(name) => view! {
                                        <ActionForm action=action>
                                            <div class="form">
                                                <input type="hidden" name="secret" value=secret />
                                                <Field id="name" label="Name" hint="You log in with this name.">
                                                    <input id="name" value=name autocomplete="username" readonly aria-describedby="name-hint" />
                                                </Field>
                                                <Field id="password" label="Password" hint="At least 12 characters." error=about("password")>
                                                    <input
                                                        id="password"
                                                        name="password"
                                                        type="password"
                                                        autocomplete="new-password"
                                                        minlength="12"
                                                        required
                                                        autofocus
                                                        aria-describedby="password-hint password-error"
                                                    />
                                                </Field>
                                                <button class="button" data-kind="primary" type="submit">"Choose it"</button>
                                            </div>
                                        </ActionForm>
                                    }
                                    .into_any(),
                                }
                            })
                        }}
                    </Suspense>
                </div>
            </div>
        </main>
    }
    .into_any()
}
