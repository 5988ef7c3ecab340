//! Tokens that let devices in.

use leptos::prelude::*;
use otter_protocol::admin::EnrollmentToken;

use crate::api::ApiError;
use crate::components::field::{Field, options};
use crate::components::when::When;
use crate::pages::settings::{Actions, made, standing};

/// The tokens, and a form for another.
pub(crate) fn tokens(
    tokens: Vec<EnrollmentToken>,
    groups: &[String],
    actions: Actions,
) -> impl IntoView + use<> {
    let is_empty = tokens.is_empty();
    let none = std::iter::once((String::new(), "No group".to_owned()));
    let groups = options(
        none.chain(groups.iter().map(|name| (name.clone(), name.clone()))),
        "",
    );
    let error = move || actions.create_token.value().get().and_then(Result::err);
    let about = move |field: &'static str| {
        Signal::derive(move || error().and_then(|error: ApiError| error.about(field)))
    };
    view! {
        <section class="card" data-flush aria-labelledby="tokens">
            <div class="card-head">
                <h2 id="tokens">"Enrollment tokens"</h2>
                <span class="hint">"A device that shows one takes part at once; without, it waits to be accepted."</span>
            </div>
            <div class="card-body">
                {move || made(actions.create_token.value().get())}
                <ActionForm action=actions.create_token>
                    <div class="filters">
                        <Field id="token-name" label="Token's name" error=about("name")>
                            <input id="token-name" name="name" required maxlength="100" placeholder="Factory line 2" />
                        </Field>
                        <Field id="token-quota" label="Devices at most" error=about("quota")>
                            <input id="token-quota" name="quota" inputmode="numeric" placeholder="any number" />
                        </Field>
                        <Field id="token-days" label="Ends after days" error=about("days")>
                            <input id="token-days" name="days" inputmode="numeric" placeholder="never" />
                        </Field>
                        <Field id="token-models" label="Models" error=about("models")>
                            <input id="token-models" name="models" placeholder="any" />
                        </Field>
                        <Field id="token-group" label="Puts devices in" error=about("group")>
                            <select id="token-group" name="group">{groups}</select>
                        </Field>
                        <button class="button" type="submit">"Make enrollment token"</button>
                    </div>
                </ActionForm>
                {is_empty.then(|| view! { <p class="hint">"No tokens yet."</p> })}
            </div>
            {(!is_empty).then(|| view! {
                <div class="table-wrap" tabindex="0" role="group" aria-label="Enrollment tokens">
                    <table class="table">
                        <thead>
                            <tr>
                                <th scope="col">"Name"</th>
                                <th scope="col" class="num">"Devices"</th>
                                <th scope="col">"Models"</th>
                                <th scope="col">"Group"</th>
                                <th scope="col">"Made"</th>
                                <th scope="col">"Standing"</th>
                                <th scope="col"><span class="visually-hidden">"Actions"</span></th>
                            </tr>
                        </thead>
                        <tbody>{tokens.into_iter().map(|token| row(token, actions)).collect_view()}</tbody>
                    </table>
                </div>
            })}
        </section>
    }
}

fn row(token: EnrollmentToken, actions: Actions) -> impl IntoView {
    let spec = token.spec;
    let models: Vec<_> = spec.models.iter().map(ToString::to_string).collect();
    let used = spec.quota.map_or_else(
        || token.used.to_string(),
        |quota| format!("{} of {quota}", token.used),
    );
    let label = format!("Revoke enrollment token {}", spec.name);
    view! {
        <tr>
            <th scope="row">{spec.name}</th>
            <td class="num">{used}</td>
            <td>{if models.is_empty() { "any".to_owned() } else { models.join(", ") }}</td>
            <td>{spec.group.map(|group| group.to_string())}</td>
            <td><When at=token.created_at /> <span class="hint">{format!(" by {}", token.created_by)}</span></td>
            <td>{standing(token.revoked_at, spec.expires_at)}</td>
            <td class="actions">
                {token.revoked_at.is_none().then(|| view! {
                    <ActionForm action=actions.revoke_token>
                        <input type="hidden" name="id" value=token.id.to_string() />
                        <button class="button" data-kind="danger" data-size="small" type="submit" aria-label=label>"Revoke"</button>
                    </ActionForm>
                })}
            </td>
        </tr>
    }
}
