//! Uploading a release: its file is hashed and sent by the browser, then the draft is made.

use leptos::prelude::*;
use otter_protocol::ArtifactKind;

use crate::api::ApiError;
use crate::api::releases::CreateRelease;
use crate::components::field::{Field, options};
use crate::components::problem::ProblemNotice;
use crate::components::size::size;

/// How far an upload is.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Progress {
    /// What goes on.
    step: &'static str,
    done: f64,
    total: f64,
    /// Bytes a second.
    speed: f64,
}

/// An upload's state, which outlives the list being loaded anew.
#[derive(Clone, Copy)]
pub(crate) struct Upload {
    progress: RwSignal<Option<Progress>>,
    error: RwSignal<Option<ApiError>>,
    /// The wasm is there, without which nothing is uploaded.
    is_ready: RwSignal<bool>,
}

impl Upload {
    pub(crate) fn new() -> Self {
        let upload = Self {
            progress: RwSignal::new(None),
            error: RwSignal::new(None),
            is_ready: RwSignal::new(false),
        };
        Effect::new(move |_| upload.is_ready.set(true));
        upload
    }
}

/// The form.
#[component]
pub(crate) fn ReleaseForm(
    models: Vec<String>,
    create: ServerAction<CreateRelease>,
    upload: Upload,
    is_open: bool,
) -> impl IntoView {
    let Upload {
        progress,
        error,
        is_ready,
    } = upload;
    let problem = move || {
        error
            .get()
            .or_else(|| create.value().get().and_then(Result::err))
    };
    let about = move |field: &'static str| {
        Signal::derive(move || problem().and_then(|problem| problem.about(field)))
    };
    let kinds = options(
        ArtifactKind::ALL.map(|kind| (kind.as_str().to_owned(), kind.as_str().to_owned())),
        "bundle",
    );
    let is_busy = move || progress.get().is_some() || create.pending().get();
    let submit = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        #[cfg(feature = "hydrate")]
        run::start(&event, upload, create);
    };
    view! {
        <section class="card" aria-labelledby="upload">
            <details class="upload" open=is_open>
                <summary class="card-head">
                    <h2 id="upload">"Upload a release"</h2>
                    <span class="hint">"It waits for its signature afterwards."</span>
                </summary>
                <div class="card-body">
                    {move || (!is_ready.get()).then(|| view! {
                        <p class="notice" data-tone="info">
                            "Uploading here needs JavaScript, which is off or still loading. The command line does it, too: "
                            <code>"otter release publish"</code>
                        </p>
                    })}
                    {move || problem().map(|error| view! { <ProblemNotice error /> })}
                    <form class="form" on:submit=submit>
                        <div class="field-row">
                            <Field id="version" label="Version" error=about("version")>
                                <input id="version" name="version" required maxlength="100" placeholder="1.2.0" />
                            </Field>
                            <Field id="kind" label="Kind">
                                <select id="kind" name="kind">{kinds}</select>
                            </Field>
                        </div>
                        <Field id="models" label="Models" hint="Hardware it fits, separated by commas." error=about("models")>
                            <input id="models" name="models" required list="known-models" aria-describedby="models-hint" />
                            <datalist id="known-models">{models.into_iter().map(|model| view! { <option value=model></option> }).collect_view()}</datalist>
                        </Field>
                        <Field id="notes" label="Notes">
                            <textarea id="notes" name="notes" rows="3" placeholder="What changed, to people."></textarea>
                        </Field>
                        <div class="field-row">
                            <Field id="min-version" label="Lowest version that can update to it" hint="Empty for any.">
                                <input id="min-version" name="min_version" aria-describedby="min-version-hint" />
                            </Field>
                            <Field id="file" label="File" error=about("file")>
                                <input id="file" name="file" type="file" required />
                            </Field>
                        </div>
                        <label class="check">
                            <input type="checkbox" name="required" value="on" />
                            <span>"Required: devices update even on a metered link"</span>
                        </label>
                        {move || progress.get().map(bar)}
                        <div class="row">
                            <button
                                class="button"
                                data-kind="primary"
                                type="submit"
                                disabled=move || !is_ready.get() || is_busy()
                                aria-busy=move || is_busy().to_string()
                            >
                                "Upload release"
                            </button>
                        </div>
                    </form>
                </div>
            </details>
        </section>
    }
}

fn bar(progress: Progress) -> impl IntoView {
    let share = if progress.total > 0.0 {
        progress.done / progress.total
    } else {
        1.0
    };
    // A file's length and a speed are whole numbers that a u64 holds.
    let (done, total, speed) = (
        size(progress.done as u64),
        size(progress.total as u64),
        size(progress.speed as u64),
    );
    view! {
        <div class="stack" style="--gap:var(--s1)">
            <div
                class="progress"
                role="progressbar"
                aria-label=progress.step
                aria-valuemin="0"
                aria-valuemax="100"
                aria-valuenow=format!("{:.0}", share * 100.0)
            >
                <span style=format!("--value:{share:.4}")></span>
            </div>
            <p class="hint">{format!("{}: {done} of {total}, {speed}/s", progress.step)}</p>
        </div>
    }
}

#[cfg(feature = "hydrate")]
mod run {
    use leptos::prelude::*;
    use leptos::task::spawn_local;
    use wasm_bindgen::JsCast;
    use web_sys::{File, HtmlInputElement};

    use super::{Progress, Upload};
    use crate::api::ApiError;
    use crate::api::releases::{CreateRelease, ReleaseForm};

    /// What the form holds, but for the file.
    fn fields(event: &leptos::ev::SubmitEvent) -> Option<ReleaseForm> {
        let form = event
            .target()?
            .dyn_into::<leptos::web_sys::HtmlFormElement>()
            .ok()?;
        let data = leptos::web_sys::FormData::new_with_form(&form).ok()?;
        let text = |name: &str| data.get(name).as_string().unwrap_or_default();
        Some(ReleaseForm {
            version: text("version"),
            models: text("models"),
            kind: text("kind"),
            notes: text("notes"),
            min_version: text("min_version"),
            required: text("required"),
            sha256: String::new(),
        })
    }

    fn chosen_file() -> Result<File, ApiError> {
        let input = document()
            .get_element_by_id("file")
            .and_then(|input| input.dyn_into::<HtmlInputElement>().ok());
        let file = input
            .and_then(|input| input.files())
            .and_then(|files| files.get(0));
        file.ok_or_else(|| ApiError::invalid("file", "Choose the file to upload."))
    }

    /// Uploads what the form describes.
    pub(super) fn start(
        event: &leptos::ev::SubmitEvent,
        upload: Upload,
        create: ServerAction<CreateRelease>,
    ) {
        let Some(form) = fields(event) else { return };
        upload.error.set(None);
        create.clear();
        spawn_local(async move {
            let uploaded = send(&form, upload).await;
            upload.progress.set(None);
            match uploaded {
                Ok(sha256) => {
                    create.dispatch(CreateRelease {
                        form: ReleaseForm { sha256, ..form },
                    });
                }
                Err(error) => upload.error.set(Some(error)),
            }
        });
    }

    async fn send(form: &ReleaseForm, upload: Upload) -> Result<String, ApiError> {
        form.check()?;
        let file = chosen_file()?;
        let blob: &web_sys::Blob = file.as_ref();
        let total = blob.size();
        let sha256 = crate::upload::hash(&file, follow(upload, "Hashing", total)).await?;
        crate::upload::send(&file, sha256, follow(upload, "Uploading", total)).await?;
        Ok(sha256.to_string())
    }

    /// Shows a step's progress from now on.
    fn follow(upload: Upload, step: &'static str, total: f64) -> impl Fn(f64) {
        let begin = js_sys::Date::now();
        let show = move |done: f64| {
            let sec = (js_sys::Date::now() - begin) / 1000.0;
            let speed = if sec > 0.0 { done / sec } else { 0.0 };
            upload.progress.set(Some(Progress {
                step,
                done,
                total,
                speed,
            }));
        };
        show(0.0);
        show
    }
}
