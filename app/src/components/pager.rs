//! Lists page by key: on to the next page, or back to the first.

use leptos::prelude::*;

use crate::next::with_query;

/// The foot of a list: how many it shows, and where the others are.
#[component]
pub(crate) fn Pager(
    path: &'static str,
    /// The list's filter, as it stands in the address.
    pairs: Vec<(&'static str, String)>,
    shown: usize,
    /// What is listed, in plural.
    what: &'static str,
    is_first: bool,
    next: Option<String>,
) -> impl IntoView {
    let pairs: Vec<(&str, &str)> = pairs
        .iter()
        .map(|(key, value)| (*key, value.as_str()))
        .collect();
    let first = with_query(path, &pairs);
    let next = next.map(|cursor| {
        with_query(
            path,
            &[pairs.as_slice(), &[("cursor", cursor.as_str())]].concat(),
        )
    });
    view! {
        <nav class="pager" aria-label="Pages">
            <span>{format!("{shown} {what} on this page")}</span>
            {(!is_first).then(|| view! { <a class="button" data-size="small" href=first>"First page"</a> })}
            {next.map(|next| view! { <a class="button" data-size="small" href=next rel="next">"Next page"</a> })}
        </nav>
    }
}
