//! One release: its bytes, its signature, where it runs.

use leptos::prelude::*;
use leptos_router::hooks::use_params_map;
use otter_protocol::ReleaseId;
use otter_protocol::admin::{ChangeKind, ReleaseDetail, Role};
use otter_protocol::release::{Artifact, Release as ReleaseData, ReleaseState};

use crate::api::ApiError;
use crate::api::releases::{WithdrawRelease, get_release};
use crate::components::badge::release_badge;
use crate::components::code::Code;
use crate::components::field::Field;
use crate::components::icon::{Icon, Shape};
use crate::components::loaded::loaded;
use crate::components::page_head::PageHead;
use crate::components::problem::action_problem;
use crate::components::rollout_row::RolloutCard;
use crate::components::size::size;
use crate::components::when::When;
use crate::live::live;

/// One release's page.
#[component]
pub(crate) fn Release() -> impl IntoView {
    let params = use_params_map();
    let id = Memo::new(move |_| params.read().get("id").unwrap_or_default());
    let withdraw = ServerAction::<WithdrawRelease>::new();
    let changed = live().on(move |change| match change.kind {
        ChangeKind::Release => change.id == id.get_untracked(),
        ChangeKind::Rollout => true,
        _ => false,
    });
    let loading = Resource::new_blocking(
        move || (id.get(), changed.get(), withdraw.version().get()),
        |(id, ..)| async move {
            match id.parse::<ReleaseId>() {
                Ok(id) => get_release(id).await,
                Err(_) => Err(ApiError::new(
                    otter_protocol::ProblemCode::NotFound,
                    format!("There is no release {id}."),
                )),
            }
        },
    );
    loaded(loading, move |detail, role| {
        page(detail, role, withdraw).into_any()
    })
    .into_any()
}

fn page(
    detail: ReleaseDetail,
    role: Role,
    withdraw: ServerAction<WithdrawRelease>,
) -> impl IntoView {
    let release = detail.release;
    let may_operate = role >= Role::Operator;
    let is_published = release.state == ReleaseState::Published;
    let hint = view! { "Made " <When at=release.created_at /> };
    view! {
        <div class="page">
            <PageHead
                title=format!("Release {}", release.version)
                above=("/releases", "Releases")
                badge=release_badge(release.state).into_any()
                hint=hint.into_any()
            >
                {(may_operate && is_published).then(|| view! {
                    <a class="button" data-kind="primary" href=format!("/rollouts/new?release={}", release.id)>
                        <Icon shape=Shape::Rollout />
                        "Roll out"
                    </a>
                })}
            </PageHead>
            {(release.state == ReleaseState::Draft).then(|| signing(&release))}
            {action_problem(move || withdraw.value().get())}
            <div class="columns">
                <div class="stack">
                    {notes(&release.notes)}
                    {artifacts(&release.artifacts)}
                    <section class="stack" aria-label="Rollouts of this release">
                        <h2 class="section-title">"Rollouts"</h2>
                        {detail.rollouts.is_empty().then(|| view! { <p class="hint">"It hasn't been rolled out."</p> })}
                        {detail.rollouts.into_iter().map(|summary| view! { <RolloutCard summary /> }).collect_view()}
                    </section>
                </div>
                <div class="stack">
                    {facts(&release, detail.devices_on_it)}
                    {(may_operate && release.state != ReleaseState::Withdrawn).then(|| withdrawal(release.id, withdraw))}
                </div>
            </div>
        </div>
    }
}

/// The one line that signs a draft.
fn signing(release: &ReleaseData) -> impl IntoView + use<> {
    let digests: Vec<_> = release
        .artifacts
        .iter()
        .map(|artifact| format!(" --sha256 {}", artifact.sha256))
        .collect();
    let command = format!(
        "otter release sign {} --key targets.key{}",
        release.id,
        digests.concat()
    );
    view! {
        <section class="card" aria-labelledby="sign">
            <div class="card-head">
                <h2 id="sign">"Sign this release"</h2>
                <span class="hint">"No device gets it before."</span>
            </div>
            <div class="card-body">
                <p>
                    "Run this where your targets key is. The digest is that of the bytes which arrived here: compare it with your own build's before you sign."
                </p>
                <Code text=command label="command that signs this release" />
            </div>
        </section>
    }
}

fn notes(notes: &str) -> impl IntoView + use<> {
    let lines: Vec<_> = notes
        .lines()
        .map(|line| view! { <p>{line.to_owned()}</p> })
        .collect();
    (!notes.is_empty()).then(|| {
        view! {
            <section class="card" aria-labelledby="notes">
                <div class="card-head"><h2 id="notes">"Notes"</h2></div>
                <div class="card-body" style="gap:var(--s2)">{lines}</div>
            </section>
        }
    })
}

fn artifacts(artifacts: &[Artifact]) -> impl IntoView + use<> {
    let row = |artifact: &Artifact| {
        let models: Vec<_> = artifact.models.iter().map(ToString::to_string).collect();
        view! {
            <tr>
                <th scope="row">{artifact.kind.as_str()}</th>
                <td>{models.join(", ")}</td>
                <td class="num">{size(artifact.size)}</td>
                <td class="wrap mono">{artifact.sha256.to_string()}</td>
            </tr>
        }
    };
    view! {
        <section class="card" data-flush aria-labelledby="artifacts">
            <div class="card-head"><h2 id="artifacts">"Artifacts"</h2></div>
            <div class="table-wrap" tabindex="0" role="group" aria-label="Artifacts">
                <table class="table">
                    <thead>
                        <tr>
                            <th scope="col">"Kind"</th>
                            <th scope="col">"Models"</th>
                            <th scope="col" class="num">"Size"</th>
                            <th scope="col">"SHA-256"</th>
                        </tr>
                    </thead>
                    <tbody>{artifacts.iter().map(row).collect_view()}</tbody>
                </table>
            </div>
        </section>
    }
}

fn facts(release: &ReleaseData, devices_on_it: u64) -> impl IntoView + use<> {
    let fact =
        |name: &'static str, value: AnyView| view! { <div><dt>{name}</dt><dd>{value}</dd></div> };
    let version = |version: &otter_protocol::Version| version.to_string().into_any();
    let link = crate::next::with_query("/devices", &[("version", release.version.as_str())]);
    let devices = view! { <a href=link>{format!("{devices_on_it} devices")}</a> };
    view! {
        <section class="card" aria-labelledby="facts">
            <div class="card-head"><h2 id="facts">"Facts"</h2></div>
            <div class="card-body">
                <dl class="facts">
                    {fact("Runs on", devices.into_any())}
                    {release.published_at.map(|at| fact(if release.is_signed() { "Signed" } else { "Published" }, view! { <When at /> }.into_any()))}
                    {(release.published_at.is_some() && !release.is_signed()).then(|| fact("Trust", unsigned(release).into_any()))}
                    {release.release_counter.map(|counter| fact("Release counter", counter.to_string().into_any()))}
                    {release.min_version.as_ref().map(|min| fact("From version", version(min)))}
                    {release.min_bootloader_version.as_ref().map(|min| fact("Boot loader", version(min)))}
                    {fact("Required", (if release.required { "yes" } else { "no" }).into_any())}
                </dl>
            </div>
        </section>
    }
}

/// What stands in for a signature where nobody signed.
fn unsigned(release: &ReleaseData) -> &'static str {
    if release.says_signed {
        "no TUF: only devices of the plain firmware API get it, and check its SHA-256; its publisher says that boot loaders check a signature of its own"
    } else {
        "no TUF: only devices of the plain firmware API get it, and check its SHA-256"
    }
}

fn withdrawal(id: ReleaseId, withdraw: ServerAction<WithdrawRelease>) -> impl IntoView {
    view! {
        <section class="card" aria-labelledby="withdraw">
            <div class="card-head"><h2 id="withdraw">"Withdraw"</h2></div>
            <div class="card-body">
                <details>
                    <summary>"Withdraw this release"</summary>
                    <ActionForm action=withdraw>
                        <div class="form">
                            <p class="hint">"Its live rollouts are aborted and no device gets it any more. This can't be undone."</p>
                            <input type="hidden" name="id" value=id.to_string() />
                            <Field id="withdraw-reason" label="Reason to withdraw it">
                                <input id="withdraw-reason" name="reason" required maxlength="500" />
                            </Field>
                            <div class="row"><button class="button" data-kind="danger" type="submit">"Withdraw release"</button></div>
                        </div>
                    </ActionForm>
                </details>
            </div>
        </section>
    }
}
