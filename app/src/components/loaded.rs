//! Content that is loaded: on the server before the page is sent, later without a flash.

use leptos::prelude::*;
use otter_protocol::admin::{Me, Role};

use crate::api::ApiError;
use crate::components::problem::page_problem;

/// Who is there, in a page's context.
#[derive(Clone, Copy)]
pub(crate) struct Visitor(pub(crate) Resource<Result<Me, ApiError>>);

/// What a page loads.
pub(crate) type Loading<T> = Resource<Result<T, ApiError>>;

/// Shows what was loaded, to somebody with a role; keeps showing it while it is loaded anew.
pub(crate) fn loaded<T>(
    loading: Loading<T>,
    show: impl Fn(T, Role) -> AnyView + Clone + Send + Sync + 'static,
) -> impl IntoView
where
    T: Clone + Send + Sync + 'static,
{
    let visitor = expect_context::<Visitor>().0;
    view! {
        <Transition fallback=|| view! { <div class="page"><span class="skeleton"></span></div> }>
            {move || {
                let show = show.clone();
                Suspend::new(async move {
                    let (me, content) = (visitor.await, loading.await);
                    match (me, content) {
                        (Ok(me), Ok(content)) => show(content, me.role),
                        (Err(error), _) | (_, Err(error)) => page_problem(&error),
                    }
                })
            }}
        </Transition>
    }
}
