//! Keys for programs.

use leptos::prelude::*;
use otter_protocol::admin::{ApiKey, Role};

use crate::api::ApiError;
use crate::components::field::{Field, options};
use crate::components::when::{When, when_or};
use crate::pages::settings::{Actions, made, standing};

/// The keys, and a form for another.
pub(crate) fn keys(keys: Vec<ApiKey>, actions: Actions) -> impl IntoView {
    let is_empty = keys.is_empty();
    let roles = options(
        Role::ALL.map(|role| (role.as_str().to_owned(), role.as_str().to_owned())),
        "operator",
    );
    let error = move || actions.create_key.value().get().and_then(Result::err);
    let about = move |field: &'static str| {
        Signal::derive(move || error().and_then(|error: ApiError| error.about(field)))
    };
    view! {
        <section class="card" data-flush aria-labelledby="keys">
            <div class="card-head">
                <h2 id="keys">"API keys"</h2>
                <span class="hint">"For the command line and other programs."</span>
            </div>
            <div class="card-body">
                {move || made(actions.create_key.value().get())}
                <ActionForm action=actions.create_key>
                    <div class="filters">
                        <Field id="key-name" label="Key's name" error=about("name")>
                            <input id="key-name" name="name" required maxlength="100" placeholder="CI" />
                        </Field>
                        <Field id="key-role" label="May do what">
                            <select id="key-role" name="role">{roles}</select>
                        </Field>
                        <Field id="key-days" label="Ends after days" error=about("days")>
                            <input id="key-days" name="days" inputmode="numeric" placeholder="never" />
                        </Field>
                        <Field id="key-models" label="Only models" error=about("models")>
                            <input id="key-models" name="models" placeholder="any; rpi4, esp32" />
                        </Field>
                        <Field id="key-groups" label="Only groups" error=about("groups")>
                            <input id="key-groups" name="groups" placeholder="any; canary, pilot" />
                        </Field>
                        <button class="button" type="submit">"Make API key"</button>
                    </div>
                </ActionForm>
                {is_empty.then(|| view! { <p class="hint">"No keys yet."</p> })}
            </div>
            {(!is_empty).then(|| view! {
                <div class="table-wrap" tabindex="0" role="group" aria-label="API keys">
                    <table class="table">
                        <thead>
                            <tr>
                                <th scope="col">"Name"</th>
                                <th scope="col">"Role"</th>
                                <th scope="col">"Reaches"</th>
                                <th scope="col">"Made"</th>
                                <th scope="col">"Last used"</th>
                                <th scope="col">"Standing"</th>
                                <th scope="col"><span class="visually-hidden">"Actions"</span></th>
                            </tr>
                        </thead>
                        <tbody>{keys.into_iter().map(|key| row(key, actions)).collect_view()}</tbody>
                    </table>
                </div>
            })}
        </section>
    }
}

fn row(key: ApiKey, actions: Actions) -> impl IntoView {
    let label = format!("Revoke API key {}", key.spec.name);
    view! {
        <tr>
            <th scope="row">{key.spec.name}</th>
            <td>{key.spec.role.as_str()}</td>
            <td>{key.spec.scope.to_string()}</td>
            <td><When at=key.created_at /> <span class="hint">{format!(" by {}", key.created_by)}</span></td>
            <td>{when_or(key.last_used_at, "never")}</td>
            <td>{standing(key.revoked_at, key.spec.expires_at)}</td>
            <td class="actions">
                {key.revoked_at.is_none().then(|| view! {
                    <ActionForm action=actions.revoke_key>
                        <input type="hidden" name="id" value=key.id.to_string() />
                        <button class="button" data-kind="danger" data-size="small" type="submit" aria-label=label>"Revoke"</button>
                    </ActionForm>
                })}
            </td>
        </tr>
    }
}
