//! What publishers have to do about the trust, before devices refuse every release.

use leptos::prelude::*;
use otter_protocol::admin::TrustWarning;

/// Shows a notice for each warning; nothing where there is none.
pub(crate) fn trust_warnings(warnings: Vec<TrustWarning>) -> AnyView {
    let notice = |warning: TrustWarning| {
        let tone = if warning.stops_updates() {
            "danger"
        } else {
            "warning"
        };
        view! {
            <div class="notice" data-tone=tone role="status">
                <p>{format!("{warning}.")}</p>
            </div>
        }
    };
    warnings.into_iter().map(notice).collect_view().into_any()
}
