//! What operators change about a device.

use leptos::prelude::*;
use otter_protocol::admin::{DeviceSummary, HeldKey};

use crate::components::field::{Field, options};
use crate::components::problem::action_problem;
use crate::components::when::When;
use crate::pages::device::Actions;

/// Lets a pending device take part, or turns it away.
pub(crate) fn accept(id: String, fingerprint: String, actions: Actions) -> impl IntoView {
    decide(id, fingerprint, ["Accept device", "Reject device"], actions)
}

/// What is to become of a key that came under the device's name.
pub(crate) fn held_key(id: String, held: &HeldKey, actions: Actions) -> impl IntoView + use<> {
    let fingerprint = held.fingerprint.to_string();
    view! {
        <div class="notice" data-tone="warning">
            <p>
                <strong>"Another key came under this name "</strong> <When at=held.at />
                ". Until it is accepted, nothing changes: the device's own key counts. Accept it only where the device was reinstalled or replaced; it then takes part with this key alone."
            </p>
            <p class="mono">{fingerprint.clone()}</p>
            {decide(id, fingerprint, ["Accept this key", "Reject this key"], actions)}
        </div>
    }
}

fn decide(
    id: String,
    fingerprint: String,
    [accept, reject]: [&'static str; 2],
    actions: Actions,
) -> impl IntoView {
    let key = move || {
        view! {
            <input type="hidden" name="id" value=id.clone() />
            <input type="hidden" name="fingerprint" value=fingerprint.clone() />
        }
    };
    let (of_accept, of_reject) = (key(), key());
    view! {
        <div class="row">
            <ActionForm action=actions.accept>
                {of_accept}
                <button class="button" data-kind="primary" type="submit">{accept}</button>
            </ActionForm>
            <ActionForm action=actions.reject>
                {of_reject}
                <button class="button" type="submit">{reject}</button>
            </ActionForm>
        </div>
    }
}

/// Labels and group.
pub(crate) fn labels(
    device: &DeviceSummary,
    groups: &[String],
    actions: Actions,
) -> impl IntoView + use<> {
    let id = device.id.to_string();
    let lines: Vec<_> = device
        .labels
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    let group = device
        .group
        .as_ref()
        .map(ToString::to_string)
        .unwrap_or_default();
    let none = std::iter::once((String::new(), "No group".to_owned()));
    let choices = options(
        none.chain(groups.iter().map(|name| (name.clone(), name.clone()))),
        &group,
    );
    let error = Signal::derive(move || {
        actions
            .labels
            .value()
            .get()
            .and_then(Result::err)
            .and_then(|error| error.about("labels"))
    });
    view! {
        <section class="card" aria-labelledby="placement">
            <div class="card-head"><h2 id="placement">"Labels and group"</h2></div>
            <div class="card-body">
                {action_problem(move || actions.labels.value().get())}
                <ActionForm action=actions.labels>
                    <div class="form">
                        <input type="hidden" name="id" value=id />
                        <Field id="labels" label="Labels" hint="One key=value a line." error=error>
                            <textarea id="labels" name="labels" rows="3" spellcheck="false" aria-describedby="labels-hint">
                                {escaped(&lines.join("\n"))}
                            </textarea>
                        </Field>
                        <Field id="group" label="Group">
                            <select id="group" name="group">{choices}</select>
                        </Field>
                        <div class="row"><button class="button" type="submit">"Save labels and group"</button></div>
                    </div>
                </ActionForm>
            </div>
        </section>
    }
}

/// Writes a text for the inside of a textarea, where the server's renderer escapes nothing.
fn escaped(text: &str) -> String {
    if cfg!(feature = "ssr") {
        text.replace('&', "&amp;").replace('<', "&lt;")
    } else {
        text.to_owned()
    }
}

/// Holds a device back, or lets it go.
pub(crate) fn hold(device: &DeviceSummary, actions: Actions) -> impl IntoView + use<> {
    let id = device.id.to_string();
    let form = if device.hold.is_some() {
        view! {
            <ActionForm action=actions.hold>
                <input type="hidden" name="id" value=id />
                <button class="button" type="submit">"Let it go"</button>
            </ActionForm>
        }
        .into_any()
    } else {
        view! {
            <ActionForm action=actions.hold>
                <div class="form">
                    <input type="hidden" name="id" value=id />
                    <Field id="hold-reason" label="Reason to hold it back">
                        <input id="hold-reason" name="reason" required maxlength="500" />
                    </Field>
                    <div class="row"><button class="button" type="submit">"Hold device"</button></div>
                </div>
            </ActionForm>
        }
        .into_any()
    };
    view! {
        <section class="card" aria-labelledby="hold">
            <div class="card-head">
                <h2 id="hold">"Hold"</h2>
                <span class="hint">"A device that is held gets no update."</span>
            </div>
            <div class="card-body">
                {action_problem(move || actions.hold.value().get())}
                {form}
            </div>
        </section>
    }
}

/// Ends a device's access.
pub(crate) fn revoke(id: String, actions: Actions) -> impl IntoView {
    view! {
        <section class="card" aria-labelledby="access">
            <div class="card-head"><h2 id="access">"Access"</h2></div>
            <div class="card-body">
                {action_problem(move || actions.revoke.value().get())}
                <details>
                    <summary>"Revoke this device"</summary>
                    <ActionForm action=actions.revoke>
                        <div class="form">
                            <p class="hint">"Its token and key no longer count. It keeps running what it runs, and gets no update."</p>
                            <input type="hidden" name="id" value=id />
                            <Field id="revoke-reason" label="Reason to revoke it">
                                <input id="revoke-reason" name="reason" required maxlength="500" />
                            </Field>
                            <div class="row"><button class="button" data-kind="danger" type="submit">"Revoke device"</button></div>
                        </div>
                    </ActionForm>
                </details>
            </div>
        </section>
    }
}
