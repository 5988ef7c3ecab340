//! One's own account: the password, the second factor, and where one is logged in.

use leptos::prelude::*;
use otter_protocol::admin::OpenSession;

use crate::api::ApiError;
use crate::api::account::{
    ChangePassword, EndOtherSessions, EndSession, MyAccount, OfferFactor, RemoveFactor,
    RenewRecoveryCodes, TakeFactor, get_account,
};
use crate::components::field::Field;
use crate::components::loaded::loaded;
use crate::components::page_head::PageHead;
use crate::components::problem::action_problem;
use crate::components::when::When;
use crate::pages::account_factor::{codes, second_factor};

/// What can be done here.
#[derive(Clone, Copy)]
pub(crate) struct Actions {
    pub(crate) change_password: ServerAction<ChangePassword>,
    pub(crate) end_session: ServerAction<EndSession>,
    pub(crate) end_others: ServerAction<EndOtherSessions>,
    pub(crate) offer: ServerAction<OfferFactor>,
    pub(crate) take: ServerAction<TakeFactor>,
    pub(crate) remove: ServerAction<RemoveFactor>,
    pub(crate) renew: ServerAction<RenewRecoveryCodes>,
}

impl Actions {
    fn new() -> Self {
        Self {
            change_password: ServerAction::new(),
            end_session: ServerAction::new(),
            end_others: ServerAction::new(),
            offer: ServerAction::new(),
            take: ServerAction::new(),
            remove: ServerAction::new(),
            renew: ServerAction::new(),
        }
    }

    /// Rises with each thing that was done.
    fn done(self) -> usize {
        self.change_password.version().get()
            + self.end_session.version().get()
            + self.end_others.version().get()
            + self.offer.version().get()
            + self.take.version().get()
            + self.remove.version().get()
            + self.renew.version().get()
    }
}

/// The account's page.
#[component]
pub(crate) fn Account() -> impl IntoView {
    let actions = Actions::new();
    let loading = Resource::new_blocking(move || actions.done(), |_| get_account());
    loaded(loading, move |account, _| page(account, actions).into_any()).into_any()
}

fn page(account: MyAccount, actions: Actions) -> impl IntoView {
    let sessions = account.sessions.clone();
    view! {
        <div class="page">
            <PageHead title="Your account" hint=format!("You are {}.", account.name).into_any() />
            {account.made.as_ref().map(codes)}
            {password(account.name.clone(), actions)}
            {second_factor(account, actions)}
            {open_sessions(sessions, actions)}
        </div>
    }
}

fn password(name: String, actions: Actions) -> impl IntoView {
    let action = actions.change_password;
    let error = move || action.value().get().and_then(Result::err);
    let about = move |field: &'static str| {
        Signal::derive(move || error().and_then(|error: ApiError| error.about(field)))
    };
    view! {
        <section class="card" aria-labelledby="password-head">
            <div class="card-head">
                <h2 id="password-head">"Password"</h2>
                <span class="hint">"A new password logs you out everywhere else."</span>
            </div>
            <div class="card-body">
                {move || matches!(action.value().get(), Some(Ok(()))).then(|| view! {
                    <p class="notice" data-tone="success" role="status">"Your password is changed."</p>
                })}
                {move || error().filter(|error| error.0.field.is_none()).map(|error| view! {
                    <crate::components::problem::ProblemNotice error />
                })}
                <ActionForm action=action>
                    <div class="form">
                        <input type="hidden" autocomplete="username" value=name />
                        <Field id="current" label="Present password" error=about("current")>
                            <input id="current" name="current" type="password" autocomplete="current-password" required aria-describedby="current-error" />
                        </Field>
                        <Field id="new" label="New password" hint="At least 12 characters." error=about("password")>
                            <input id="new" name="new" type="password" autocomplete="new-password" minlength="12" required aria-describedby="new-hint new-error" />
                        </Field>
                        <button class="button" type="submit">"Change password"</button>
                    </div>
                </ActionForm>
            </div>
        </section>
    }
}

fn open_sessions(sessions: Vec<OpenSession>, actions: Actions) -> impl IntoView {
    let has_others = sessions.iter().any(|session| !session.current);
    view! {
        <section class="card" data-flush aria-labelledby="sessions">
            <div class="card-head">
                <h2 id="sessions">"Where you are logged in"</h2>
                {has_others.then(|| view! {
                    <ActionForm action=actions.end_others>
                        <button class="button" data-size="small" type="submit">"Log out everywhere else"</button>
                    </ActionForm>
                })}
            </div>
            <div class="card-body">
                <p class="hint">"A session ends after eight hours without use, and seven days after the login."</p>
                {action_problem(move || actions.end_session.value().get())}
                {action_problem(move || actions.end_others.value().get())}
            </div>
            <div class="table-wrap" tabindex="0" role="group" aria-label="Sessions">
                <table class="table">
                    <thead>
                        <tr>
                            <th scope="col">"Browser"</th>
                            <th scope="col">"Address"</th>
                            <th scope="col">"Logged in"</th>
                            <th scope="col">"Last used"</th>
                            <th scope="col"><span class="visually-hidden">"Actions"</span></th>
                        </tr>
                    </thead>
                    <tbody>{sessions.into_iter().map(|session| row(session, actions)).collect_view()}</tbody>
                </table>
            </div>
        </section>
    }
}

fn row(session: OpenSession, actions: Actions) -> impl IntoView {
    let browser = browser(session.agent.as_deref().unwrap_or_default());
    let address = session.address.unwrap_or_else(|| "unknown".to_owned());
    let label = format!("End the session of {browser} at {address}");
    view! {
        <tr>
            <th scope="row">{browser}</th>
            <td>{address}</td>
            <td><When at=session.created_at /></td>
            <td><When at=session.seen_at /></td>
            <td class="actions">
                {if session.current {
                    view! { <span class="hint">"this one"</span> }.into_any()
                } else {
                    view! {
                        <ActionForm action=actions.end_session>
                            <input type="hidden" name="id" value=session.id />
                            <button class="button" data-kind="danger" data-size="small" type="submit" aria-label=label>"Log out"</button>
                        </ActionForm>
                    }
                    .into_any()
                }}
            </td>
        </tr>
    }
}

/// Names a browser by what it says it is, as far as people know browsers by name.
fn browser(agent: &str) -> String {
    // Most say that they are several; the first here is what it is.
    let names = [
        ("Edg/", "Edge"),
        ("OPR/", "Opera"),
        ("Firefox/", "Firefox"),
        ("Chrome/", "Chrome"),
        ("Safari/", "Safari"),
    ];
    let systems = [
        ("Android", "Android"),
        ("iPhone", "iOS"),
        ("iPad", "iOS"),
        ("Windows", "Windows"),
        ("Mac OS X", "macOS"),
        ("Linux", "Linux"),
    ];
    let find = |known: &[(&str, &'static str)]| {
        let found = known.iter().find(|(sign, _)| agent.contains(sign));
        found.map(|(_, name)| *name)
    };
    match (find(&names), find(&systems)) {
        (Some(name), Some(system)) => format!("{name} on {system}"),
        (Some(name), None) => name.to_owned(),
        _ if agent.is_empty() => "Unknown".to_owned(),
        _ => agent.chars().take(40).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::browser;

    #[test]
    fn browsers_have_names() {
        let chrome = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36";
        assert_eq!(browser(chrome), "Chrome on Linux");
        assert_eq!(browser(&format!("{chrome} Edg/140.0")), "Edge on Linux");
        let firefox =
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0";
        assert_eq!(browser(firefox), "Firefox on Windows");
        assert_eq!(browser("curl/8.5.0"), "curl/8.5.0");
        assert_eq!(browser(""), "Unknown");
    }
}
