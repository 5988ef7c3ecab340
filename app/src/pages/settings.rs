//! People, keys for programs, tokens for devices, and how trust stands; an admin's.

use leptos::prelude::*;
use otter_protocol::Timestamp;
use otter_protocol::admin::{ChangeKind, TrustStatus};

use crate::api::ApiError;
use crate::api::settings::{
    CreateKey, CreateToken, RevokeKey, RevokeToken, Secret, Settings as Content, get_settings,
};
use crate::components::code::Code;
use crate::components::loaded::loaded;
use crate::components::page_head::PageHead;
use crate::components::problem::action_problem;
use crate::components::trust_warnings::trust_warnings;
use crate::components::when::{When, when_or};
use crate::live::live;
use crate::pages::settings_keys::keys;
use crate::pages::settings_people::{PeopleActions, people};
use crate::pages::settings_tokens::tokens;

/// What can be done here.
#[derive(Clone, Copy)]
pub(crate) struct Actions {
    pub(crate) create_key: ServerAction<CreateKey>,
    pub(crate) revoke_key: ServerAction<RevokeKey>,
    pub(crate) create_token: ServerAction<CreateToken>,
    pub(crate) revoke_token: ServerAction<RevokeToken>,
    pub(crate) people: PeopleActions,
}

/// The settings' page.
#[component]
pub(crate) fn Settings() -> impl IntoView {
    let actions = Actions {
        create_key: ServerAction::new(),
        revoke_key: ServerAction::new(),
        create_token: ServerAction::new(),
        revoke_token: ServerAction::new(),
        people: PeopleActions::new(),
    };
    let changed = live().on_kinds(&[ChangeKind::Settings]);
    let done = move || {
        let Actions {
            create_key,
            revoke_key,
            create_token,
            revoke_token,
            people,
        } = actions;
        (
            create_key.version().get(),
            revoke_key.version().get(),
            create_token.version().get(),
            revoke_token.version().get(),
            people.done(),
        )
    };
    let loading = Resource::new_blocking(move || (changed.get(), done()), |_| get_settings());
    loaded(loading, move |content, _| page(content, actions).into_any()).into_any()
}

fn page(content: Content, actions: Actions) -> impl IntoView {
    let Content {
        people: accounts,
        is_recent,
        keys: api_keys,
        tokens: enrollment_tokens,
        groups,
        trust: status,
        warnings,
        made,
    } = content;
    view! {
        <div class="page">
            <PageHead title="Settings" />
            {made.map(|made| secret(&made))}
            {action_problem(move || actions.revoke_key.value().get())}
            {action_problem(move || actions.revoke_token.value().get())}
            {(!is_recent).then(|| view! {
                <div class="notice" data-tone="info">
                    <p>"You logged in a while ago. To add people or make keys, " <a href="/confirm?next=/settings">"confirm that it is you"</a> "."</p>
                </div>
            })}
            {people(accounts, actions.people)}
            {tokens(enrollment_tokens, &groups, actions)}
            {keys(api_keys, actions)}
            {trust_warnings(warnings)}
            {trust(&status)}
        </div>
    }
}

/// A secret that was made just now, or what went wrong.
pub(crate) fn made(value: Option<Result<Secret, ApiError>>) -> AnyView {
    match value {
        Some(Ok(made)) => secret(&made).into_any(),
        Some(Err(error)) => {
            view! { <crate::components::problem::ProblemNotice error /> }.into_any()
        }
        None => ().into_any(),
    }
}

fn secret(made: &Secret) -> impl IntoView + use<> {
    view! {
        <div class="notice" data-tone="success" role="status">
            <p><strong>{format!("{} is made.", made.name)}</strong> " Copy its secret now: it is shown only once."</p>
            <Code text=made.text.clone() label="secret" />
        </div>
    }
}

/// How a key or token stands: revoked, expired, or until when.
pub(crate) fn standing(revoked_at: Option<Timestamp>, expires_at: Option<Timestamp>) -> AnyView {
    match (revoked_at, expires_at) {
        (Some(at), _) => view! { <span class="muted">"revoked " <When at /></span> }.into_any(),
        (None, Some(at)) => view! { "ends " <When at /> }.into_any(),
        (None, None) => "has no end".into_any(),
    }
}

/// Shows who signs for some models alone; nothing where nobody does.
fn delegated(status: &TrustStatus) -> AnyView {
    if status.delegated.is_empty() {
        return ().into_any();
    }
    let rows = status.delegated.iter().map(|one| {
        let list = match one.version {
            None => "nothing signed yet".into_any(),
            Some(version) => {
                view! { {format!("version {version}, ends ")} {when_or(one.expires_at, "–")} }
                    .into_any()
            }
        };
        view! {
            <div>
                <dt>{one.role.clone()}</dt>
                <dd>{format!("for {}: ", one.models.join(", "))} {list}</dd>
            </div>
        }
    });
    view! {
        <h3>"Teams that sign for their models alone"</h3>
        <dl class="facts">{rows.collect_view()}</dl>
    }
    .into_any()
}

fn trust(status: &TrustStatus) -> impl IntoView + use<> {
    let version = |version: Option<u64>| {
        version.map_or_else(|| "none".to_owned(), |version| format!("version {version}"))
    };
    let fact =
        |name: &'static str, value: AnyView| view! { <div><dt>{name}</dt><dd>{value}</dd></div> };
    view! {
        <section class="card" aria-labelledby="trust">
            <div class="card-head">
                <h2 id="trust">"Trust"</h2>
                <span class="hint">"What devices install is signed with keys that this server doesn't have."</span>
            </div>
            <div class="card-body">
                <dl class="facts">
                    {fact("Root", version(status.root_version).into_any())}
                    {fact("Root ends", when_or(status.root_expires_at, "–"))}
                    {fact("Targets", version(status.targets_version).into_any())}
                    {fact("Targets end", when_or(status.targets_expires_at, "–"))}
                </dl>
                {delegated(status)}
                {status.root_fingerprint.map(|fingerprint| view! {
                    <p class="hint">
                        "Fingerprint of the first root: what a device without one in its image trusts at enrollment. Its log says the same, or it speaks with somebody else."
                    </p>
                    <Code text=fingerprint.to_string() label="fingerprint of the first root" />
                })}
                {status.root_version.is_none().then(|| view! { <Code text="otter key generate --help" label="command" /> })}
            </div>
        </section>
    }
}
