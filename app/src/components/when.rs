//! Points in time, as they lie from now; the exact time on hover and to programs.

use leptos::prelude::*;
use otter_protocol::Timestamp;

use crate::clock::{Now, exact, relative};

/// A point in time.
#[component]
pub(crate) fn When(at: Timestamp) -> impl IntoView {
    let now = expect_context::<Now>();
    view! {
        <time datetime=at.to_string() title=exact(at)>
            {move || relative(at, now.get())}
        </time>
    }
}

/// A point in time, or a word where there is none.
pub(crate) fn when_or(at: Option<Timestamp>, otherwise: &'static str) -> AnyView {
    match at {
        Some(at) => view! { <When at /> }.into_any(),
        None => view! { <span class="muted">{otherwise}</span> }.into_any(),
    }
}
