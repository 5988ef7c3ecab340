//! The second factor of one's own account.

use leptos::prelude::*;

use crate::api::ApiError;
use crate::api::account::{MyAccount, Offer};
use crate::api::settings::Secret;
use crate::components::code::Code;
use crate::components::field::Field;
use crate::components::problem::{ProblemNotice, action_problem};
use crate::pages::account::Actions;

/// The second factor: set up, or what is left of its recovery codes.
pub(crate) fn second_factor(account: MyAccount, actions: Actions) -> impl IntoView {
    let part = match (account.is_recent, account.recovery_codes, account.offer) {
        (false, left, _) => not_recent(left).into_any(),
        (true, Some(left), _) => present(left, actions).into_any(),
        (true, None, Some(offer)) => setting_up(offer, actions).into_any(),
        (true, None, None) => absent(actions).into_any(),
    };
    view! {
        <section class="card" aria-labelledby="factor">
            <div class="card-head">
                <h2 id="factor">"Second factor"</h2>
                <span class="hint">"A code of an authenticator, asked for after the password."</span>
            </div>
            <div class="card-body stack">
                {move || match actions.take.value().get() {
                    Some(Ok(made)) => codes(&made).into_any(),
                    _ => ().into_any(),
                }}
                {move || match actions.renew.value().get() {
                    Some(Ok(made)) => codes(&made).into_any(),
                    Some(Err(error)) => view! { <ProblemNotice error /> }.into_any(),
                    None => ().into_any(),
                }}
                {action_problem(move || actions.offer.value().get())}
                {action_problem(move || actions.remove.value().get())}
                {part}
            </div>
        </section>
    }
}

/// Recovery codes that were made just now.
pub(crate) fn codes(made: &Secret) -> impl IntoView + use<> {
    let text = made.text.replace('.', "\n");
    view! {
        <div class="notice" data-tone="success" role="status">
            <p>
                <strong>"Keep these recovery codes."</strong>
                " Each lets you in once when your authenticator is lost. They are shown only now."
            </p>
            <Code text label="recovery codes" />
        </div>
    }
}

fn not_recent(left: Option<u64>) -> impl IntoView {
    view! {
        <p>{standing(left)}</p>
        <p><a class="button" href="/confirm?next=/account">"Confirm that it is you to change this"</a></p>
    }
}

fn standing(left: Option<u64>) -> String {
    match left {
        None => "You have none: whoever has your password is you.".to_owned(),
        Some(1) => "It is on. One recovery code is left.".to_owned(),
        Some(left) => format!("It is on. {left} recovery codes are left."),
    }
}

fn absent(actions: Actions) -> impl IntoView {
    view! {
        <p>{standing(None)}</p>
        <ActionForm action=actions.offer>
            <button class="button" type="submit">"Set up an authenticator"</button>
        </ActionForm>
    }
}

fn present(left: u64, actions: Actions) -> impl IntoView {
    view! {
        <p>{standing(Some(left))}</p>
        <div class="row">
            <ActionForm action=actions.renew>
                <button class="button" type="submit">"Make new recovery codes"</button>
            </ActionForm>
            <ActionForm action=actions.remove>
                <button class="button" data-kind="danger" type="submit">"Remove second factor"</button>
            </ActionForm>
        </div>
    }
}

fn setting_up(offer: Offer, actions: Actions) -> impl IntoView {
    let error = move || actions.take.value().get().and_then(Result::err);
    let about = Signal::derive(move || error().and_then(|error: ApiError| error.about("code")));
    let view_box = format!("0 0 {0} {0}", offer.size);
    view! {
        <p>"Scan this with your authenticator, or type the key into it. Then enter the code that it shows."</p>
        <svg class="qr-code" viewBox=view_box role="img" aria-label="The key as a QR code">
            <path d=offer.squares />
        </svg>
        <Code text=offer.secret label="key" />
        {move || error().filter(|error| error.0.field.is_none()).map(|error| view! { <ProblemNotice error /> })}
        <ActionForm action=actions.take>
            <div class="form">
                <Field id="factor-code" label="Code" error=about>
                    <input id="factor-code" name="code" inputmode="numeric" autocomplete="one-time-code" maxlength="10" required aria-describedby="factor-code-error" />
                </Field>
                <button class="button" data-kind="primary" type="submit">"Turn it on"</button>
            </div>
        </ActionForm>
    }
}
