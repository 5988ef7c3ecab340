//! People's accounts.

use leptos::prelude::*;
use otter_protocol::admin::{Account, Role};

use crate::api::ApiError;
use crate::api::people::{
    AddPerson, ChangeRole, CloseAccount, EndSessionsOf, MakeLink, RemoveFactorOf,
};
use crate::components::code::Code;
use crate::components::field::{Field, options};
use crate::components::problem::{ProblemNotice, action_problem};
use crate::components::when::{When, when_or};

/// What can be done to accounts.
#[derive(Clone, Copy)]
pub(crate) struct PeopleActions {
    add: ServerAction<AddPerson>,
    link: ServerAction<MakeLink>,
    role: ServerAction<ChangeRole>,
    close: ServerAction<CloseAccount>,
    end: ServerAction<EndSessionsOf>,
    factor: ServerAction<RemoveFactorOf>,
}

impl PeopleActions {
    pub(crate) fn new() -> Self {
        Self {
            add: ServerAction::new(),
            link: ServerAction::new(),
            role: ServerAction::new(),
            close: ServerAction::new(),
            end: ServerAction::new(),
            factor: ServerAction::new(),
        }
    }

    /// Rises with each thing that was done.
    pub(crate) fn done(self) -> usize {
        self.add.version().get()
            + self.link.version().get()
            + self.role.version().get()
            + self.close.version().get()
            + self.end.version().get()
            + self.factor.version().get()
    }
}

/// The accounts, and a form for another.
pub(crate) fn people(accounts: Vec<Account>, actions: PeopleActions) -> impl IntoView {
    let error = move || actions.add.value().get().and_then(Result::err);
    let about = Signal::derive(move || error().and_then(|error: ApiError| error.about("name")));
    view! {
        <section class="card" data-flush aria-labelledby="people">
            <div class="card-head">
                <h2 id="people">"People"</h2>
                <span class="hint">"Each chooses a password by a link that works once, for a day."</span>
            </div>
            <div class="card-body">
                {move || link(actions.add.value().get())}
                {move || link(actions.link.value().get())}
                {action_problem(move || actions.role.value().get())}
                {action_problem(move || actions.close.value().get())}
                {action_problem(move || actions.end.value().get())}
                {action_problem(move || actions.factor.value().get())}
                <ActionForm action=actions.add>
                    <div class="filters">
                        <Field id="person-name" label="Person's name" error=about>
                            <input id="person-name" name="name" required maxlength="64" autocomplete="off" autocapitalize="none" spellcheck="false" />
                        </Field>
                        <Field id="person-role" label="Person's role">
                            <select id="person-role" name="role">{roles(Role::Operator)}</select>
                        </Field>
                        <button class="button" type="submit">"Add person"</button>
                    </div>
                </ActionForm>
            </div>
            <div class="table-wrap" tabindex="0" role="group" aria-label="People">
                <table class="table">
                    <thead>
                        <tr>
                            <th scope="col">"Name"</th>
                            <th scope="col">"Role"</th>
                            <th scope="col">"Second factor"</th>
                            <th scope="col">"Last login"</th>
                            <th scope="col"><span class="visually-hidden">"Actions"</span></th>
                        </tr>
                    </thead>
                    <tbody>{accounts.into_iter().map(|account| row(account, actions)).collect_view()}</tbody>
                </table>
            </div>
        </section>
    }
}

fn roles(chosen: Role) -> AnyView {
    let all = Role::ALL.map(|role| (role.as_str().to_owned(), role.as_str().to_owned()));
    options(all, chosen.as_str())
}

/// A link that was made just now, or what went wrong.
fn link(value: Option<Result<crate::api::settings::Secret, ApiError>>) -> AnyView {
    match value {
        Some(Ok(made)) => view! {
            <div class="notice" data-tone="success" role="status">
                <p>
                    <strong>{format!("Give {} this link now: it is shown only once.", made.name)}</strong>
                    " Whoever has it chooses the password."
                </p>
                <Code text=made.text label="link" />
            </div>
        }
        .into_any(),
        Some(Err(error)) => view! { <ProblemNotice error /> }.into_any(),
        None => ().into_any(),
    }
}

fn row(account: Account, actions: PeopleActions) -> impl IntoView {
    let name = &account.name;
    let (whose_role, to_change) = (
        format!("Role of {name}"),
        format!("Change the role of {name}"),
    );
    let is_open = account.disabled_at.is_none();
    view! {
        <tr>
            <th scope="row">
                {account.name.clone()}
                {account.disabled_at.map(|at| view! { <span class="hint">" closed " <When at /></span> })}
                {account.link_expires_at.map(|at| view! { <span class="hint">" the link ends " <When at /></span> })}
                {(is_open && !account.has_password && account.link_expires_at.is_none()).then(|| view! {
                    <span class="hint">" the link has ended"</span>
                })}
            </th>
            <td>
                {if is_open {
                    view! {
                        <ActionForm action=actions.role>
                            <div class="row">
                                <input type="hidden" name="id" value=account.id.to_string() />
                                <select class="input" name="role" aria-label=whose_role>{roles(account.role)}</select>
                                <button class="button" data-size="small" type="submit" aria-label=to_change>"Change"</button>
                            </div>
                        </ActionForm>
                    }
                    .into_any()
                } else {
                    account.role.as_str().into_any()
                }}
            </td>
            <td>{if account.has_second_factor { "yes" } else { "no" }}</td>
            <td>{when_or(account.last_login_at, "never")}</td>
            <td class="actions">
                <div class="row">{buttons(&account, actions)}</div>
            </td>
        </tr>
    }
}

fn buttons(account: &Account, actions: PeopleActions) -> AnyView {
    let (id, name) = (account.id, account.name.clone());
    if account.disabled_at.is_some() {
        let label = format!("Open the account of {name}");
        return view! {
            <ActionForm action=actions.close>
                <input type="hidden" name="id" value=id.to_string() />
                <input type="hidden" name="open" value="true" />
                <button class="button" data-size="small" type="submit" aria-label=label>"Open"</button>
            </ActionForm>
        }
        .into_any();
    }
    let factor = account.has_second_factor.then(|| {
        let label = format!("Remove the second factor of {name}");
        view! {
            <ActionForm action=actions.factor>
                <input type="hidden" name="id" value=id.to_string() />
                <button class="button" data-size="small" type="submit" aria-label=label>"Remove factor"</button>
            </ActionForm>
        }
    });
    let [link, end, close] = [
        format!("Make a link for {name}"),
        format!("Log {name} out everywhere"),
        format!("Close the account of {name}"),
    ];
    view! {
        <ActionForm action=actions.link>
            <input type="hidden" name="id" value=id.to_string() />
            <button class="button" data-size="small" type="submit" aria-label=link>"Link"</button>
        </ActionForm>
        <ActionForm action=actions.end>
            <input type="hidden" name="id" value=id.to_string() />
            <button class="button" data-size="small" type="submit" aria-label=end>"Log out"</button>
        </ActionForm>
        {factor}
        <ActionForm action=actions.close>
            <input type="hidden" name="id" value=id.to_string() />
            <button class="button" data-kind="danger" data-size="small" type="submit" aria-label=close>"Close"</button>
        </ActionForm>
    }
    .into_any()
}
