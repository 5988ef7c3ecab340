//! All releases, and uploading a new one.

use leptos::prelude::*;
use otter_protocol::admin::{ChangeKind, Role};
use otter_protocol::release::Release;

use crate::api::releases::{CreateRelease, ReleaseList, list_releases};
use crate::components::badge::release_badge;
use crate::components::empty::Empty;
use crate::components::icon::Shape;
use crate::components::loaded::loaded;
use crate::components::page_head::PageHead;
use crate::components::size::size;
use crate::components::when::When;
use crate::live::live;
use crate::pages::release_form::{ReleaseForm, Upload};

/// The list of releases.
#[component]
pub(crate) fn Releases() -> impl IntoView {
    let changed = live().on_kinds(&[ChangeKind::Release]);
    let create = ServerAction::<CreateRelease>::new();
    let upload = Upload::new();
    let loading = Resource::new_blocking(move || changed.get(), |_| list_releases());
    loaded(loading, move |list, role| {
        page(list, role, create, upload).into_any()
    })
    .into_any()
}

fn page(
    list: ReleaseList,
    role: Role,
    create: ServerAction<CreateRelease>,
    upload: Upload,
) -> impl IntoView {
    let is_empty = list.releases.is_empty();
    view! {
        <div class="page">
            <PageHead title="Releases" hint="Versions of software, signed by their publishers.".into_any() />
            {(role >= Role::Operator).then(|| view! { <ReleaseForm models=list.models create upload is_open=is_empty /> })}
            <div class="card" data-flush>
                {if is_empty {
                    view! {
                        <Empty
                            shape=Shape::Release
                            title="No releases yet"
                            text="Upload one here and sign it afterwards, or upload, sign and publish in one go on the command line."
                            command="otter release publish --help"
                        />
                    }
                    .into_any()
                } else {
                    table(list.releases).into_any()
                }}
            </div>
        </div>
    }
}

fn table(releases: Vec<Release>) -> impl IntoView {
    view! {
        <div class="table-wrap" tabindex="0" role="group" aria-label="Releases">
            <table class="table">
                <thead>
                    <tr>
                        <th scope="col">"Version"</th>
                        <th scope="col">"State"</th>
                        <th scope="col">"Models"</th>
                        <th scope="col">"Kind"</th>
                        <th scope="col" class="num">"Size"</th>
                        <th scope="col">"Notes"</th>
                        <th scope="col">"Made"</th>
                    </tr>
                </thead>
                <tbody>{releases.into_iter().map(row).collect_view()}</tbody>
            </table>
        </div>
    }
}

fn row(release: Release) -> impl IntoView {
    let models: Vec<_> = release.models().iter().map(ToString::to_string).collect();
    let mut kinds: Vec<_> = release
        .artifacts
        .iter()
        .map(|artifact| artifact.kind.as_str())
        .collect();
    kinds.dedup();
    let bytes: u64 = release.artifacts.iter().map(|artifact| artifact.size).sum();
    let notes = release.notes.lines().next().unwrap_or_default().to_owned();
    view! {
        <tr>
            <th scope="row"><a href=format!("/releases/{}", release.id)>{release.version.to_string()}</a></th>
            <td>{release_badge(release.state)}</td>
            <td>{models.join(", ")}</td>
            <td>{kinds.join(", ")}</td>
            <td class="num">{size(bytes)}</td>
            <td class="wrap">{notes}</td>
            <td><When at=release.created_at /></td>
        </tr>
    }
}
