//! Problems, as people read them.

use leptos::prelude::*;
use leptos_meta::Title;
use otter_protocol::ProblemCode;

use crate::api::ApiError;

/// A problem in place of a page's content; the page's status says the same.
pub(crate) fn page_problem(error: &ApiError) -> AnyView {
    let problem = error.0.clone();
    #[cfg(feature = "ssr")]
    if problem.code != ProblemCode::Unauthenticated {
        crate::api::auth::set_status(problem.status);
    }
    let is_away = matches!(
        problem.code,
        ProblemCode::Unavailable | ProblemCode::Internal
    );
    view! {
        <Title text=problem.title.clone() />
        <div class="page">
            <div class="empty" role="alert">
                <h1>{problem.title}</h1>
                <p>{problem.detail}</p>
                {is_away.then(|| view! { <a class="button" href="" rel="external">"Try again"</a> })}
                {(!is_away).then(|| view! { <a class="button" href="/">"Go to the overview"</a> })}
            </div>
        </div>
    }
    .into_any()
}

/// A problem beside a form or a part of a page.
#[component]
pub(crate) fn ProblemNotice(error: ApiError) -> impl IntoView {
    let confirm = (error.0.code == ProblemCode::ReauthenticationNeeded).then(|| {
        let page = leptos_router::hooks::use_location()
            .pathname
            .get_untracked();
        crate::next::with_query("/confirm", &[("next", &page)])
    });
    view! {
        <div class="notice" data-tone="danger" role="alert">
            <p>
                <strong>{error.0.title}</strong>
                " "
                {error.0.detail}
                {confirm.map(|href| view! { " " <a href=href>"Confirm it, then try again."</a> })}
            </p>
        </div>
    }
}

/// What an action's last answer was wrong about, as a notice; nothing while it runs or where all went well.
pub(crate) fn action_problem<T: Clone + Send + Sync + 'static>(
    value: impl Fn() -> Option<Result<T, ApiError>> + Send + Sync + 'static,
) -> impl IntoView {
    move || {
        value()
            .and_then(Result::err)
            .map(|error| view! { <ProblemNotice error /> })
    }
}
