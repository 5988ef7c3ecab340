//! The audit log: who did what to what, and how it was before.

use leptos::prelude::*;
use leptos_router::components::Form;
use leptos_router::hooks::use_query_map;
use otter_protocol::admin::{AuditEvent, ChainCheck, ChangeKind, Page, Role};
use serde_json::Value;

use crate::api::AuditQuery;
use crate::api::audit::{VerifyAudit, list_events};
use crate::components::empty::Empty;
use crate::components::field::Field;
use crate::components::icon::Shape;
use crate::components::loaded::loaded;
use crate::components::page_head::PageHead;
use crate::components::pager::Pager;
use crate::components::problem::ProblemNotice;
use crate::components::when::When;
use crate::live::live;

/// The audit log's page.
#[component]
pub(crate) fn Audit() -> impl IntoView {
    let map = use_query_map();
    let query = Memo::new(move |_| {
        let map = map.read();
        let get = |key: &str| map.get(key).unwrap_or_default();
        AuditQuery {
            actor: get("actor"),
            action: get("action"),
            kind: get("kind"),
            subject: get("subject"),
            from: get("from"),
            until: get("until"),
            cursor: get("cursor"),
        }
    });
    // An operator's glance at the log should follow what he does; each device's report needn't move it.
    let changed = live().on_kinds(&[
        ChangeKind::Rollout,
        ChangeKind::Release,
        ChangeKind::Group,
        ChangeKind::Settings,
    ]);
    let verify = ServerAction::<VerifyAudit>::new();
    let loading = Resource::new_blocking(
        move || (query.get(), changed.get()),
        |(query, _)| list_events(query),
    );
    loaded(loading, move |events, _: Role| {
        page(events, query.get_untracked(), verify).into_any()
    })
    .into_any()
}

fn page(
    events: Page<AuditEvent>,
    query: AuditQuery,
    verify: ServerAction<VerifyAudit>,
) -> impl IntoView {
    let is_empty = events.items.is_empty();
    let shown = events.items.len();
    let (is_filtered, is_first) = (query.is_filtered(), query.cursor.is_empty());
    let pairs = query
        .pairs()
        .into_iter()
        .map(|(key, value)| (key, value.to_owned()))
        .collect::<Vec<_>>();
    let (csv, json) = (download(&query, "csv"), download(&query, "json"));
    let filter = filter(query);
    view! {
        <div class="page">
            <PageHead title="Audit" hint="Every change, each event holding the hash of the one before it.".into_any()>
                <a class="button" href=csv download="" rel="external">"Export CSV"</a>
                <a class="button" href=json download="" rel="external">"Export JSON"</a>
                <ActionForm action=verify>
                    <button class="button" type="submit" aria-busy=move || verify.pending().get().to_string()>"Verify chain"</button>
                </ActionForm>
            </PageHead>
            <div role="status">
                {move || verify.value().get().map(|checked| match checked {
                    Ok(check) => chain(&check),
                    Err(error) => view! { <ProblemNotice error /> }.into_any(),
                })}
            </div>
            {filter}
            <div class="card" data-flush>
                {if is_empty {
                    view! {
                        <Empty shape=Shape::Audit title="No events" text="Nothing that has happened fits the filter.">
                            {is_filtered.then(|| view! { <a class="button" href="/audit">"Clear the filter"</a> })}
                        </Empty>
                    }
                    .into_any()
                } else {
                    view! {
                        <ol class="events" aria-label="Events">{events.items.into_iter().map(event).collect_view()}</ol>
                        <Pager path="/audit" pairs shown what="events" is_first next=events.next />
                    }
                    .into_any()
                }}
            </div>
        </div>
    }
}

fn chain(check: &ChainCheck) -> AnyView {
    match check.broken_at {
        None => view! {
            <div class="notice" data-tone="success">
                <p>
                    <strong>"The chain is whole."</strong>
                    {format!(" {} events checked; head ", check.events)}
                    <span class="mono">{check.head.map(|head| head.to_string()).unwrap_or_else(|| "none".to_owned())}</span>
                </p>
            </div>
        }
        .into_any(),
        Some(place) => view! {
            <div class="notice" data-tone="danger">
                <p>
                    <strong>{format!("The chain is broken at event {place}.")}</strong>
                    " Somebody changed the log behind the server's back. Compare it with an export or backup."
                </p>
            </div>
        }
        .into_any(),
    }
}

/// Returns the address of a file with all events that a query asks for.
fn download(query: &AuditQuery, format: &str) -> String {
    let time = |text: &str| match text.len() {
        // As a browser's field writes it: a minute, in UTC.
        16 => format!("{text}:00Z"),
        _ => text.to_owned(),
    };
    let (from, until) = (time(query.from.trim()), time(query.until.trim()));
    let pairs = [
        ("format", format),
        ("actor", query.actor.trim()),
        ("action", query.action.trim()),
        ("subject_kind", query.kind.trim()),
        ("subject", query.subject.trim()),
        ("from", from.as_str()),
        ("until", until.as_str()),
    ];
    crate::next::with_query("/api/v1/audit/download", &pairs)
}

fn filter(query: AuditQuery) -> impl IntoView {
    let is_filtered = query.is_filtered();
    view! {
        <search aria-label="Filter events">
            <Form method="GET" action="/audit">
                <div class="filters">
                    <Field id="actor" label="Actor">
                        <input id="actor" name="actor" placeholder="user:ada" value=query.actor />
                    </Field>
                    <Field id="action" label="Action">
                        <input id="action" name="action" placeholder="rollout.*" value=query.action />
                    </Field>
                    <Field id="kind" label="Kind">
                        <input id="kind" name="kind" placeholder="rollout" value=query.kind />
                    </Field>
                    <Field id="subject" label="Subject">
                        <input id="subject" name="subject" placeholder="7" value=query.subject />
                    </Field>
                    <Field id="from" label="From (UTC)">
                        <input id="from" name="from" type="datetime-local" value=query.from />
                    </Field>
                    <Field id="until" label="Until (UTC)">
                        <input id="until" name="until" type="datetime-local" value=query.until />
                    </Field>
                    <button class="button" type="submit">"Filter"</button>
                    {is_filtered.then(|| view! { <a class="button" data-kind="ghost" href="/audit">"Clear"</a> })}
                </div>
            </Form>
        </search>
    }
}

fn event(event: AuditEvent) -> impl IntoView {
    let lines = difference(event.before.as_ref(), event.after.as_ref());
    let count = lines.len();
    let table = view! {
        <table class="table difference">
            <thead><tr><th scope="col">"Field"</th><th scope="col">"Before"</th><th scope="col">"After"</th></tr></thead>
            <tbody>
                {lines.into_iter().map(|line| view! {
                    <tr>
                        <th scope="row">{line.field}</th>
                        <td class="wrap mono">{line.before.map(|text| view! { <del>{text}</del> })}</td>
                        <td class="wrap mono">{line.after.map(|text| view! { <ins>{text}</ins> })}</td>
                    </tr>
                }).collect_view()}
            </tbody>
        </table>
    };
    view! {
        <li class="event">
            <details>
                <summary>
                    <span class="event-number">{event.sequence}</span>
                    <strong>{event.action}</strong>
                    <span>{format!("{} {}", event.subject_kind, event.subject)}</span>
                    <span class="hint">{format!("by {}", event.actor)}</span>
                    <span class="hint end"><When at=event.at /></span>
                </summary>
                {(count > 0).then(|| view! { <div class="table-wrap" tabindex="0" role="group" aria-label=format!("Difference of event {}", event.sequence)>{table}</div> })}
                {(count == 0).then(|| view! { <p class="hint">"Nothing more is recorded."</p> })}
                <p class="hint">"Hash " <span class="mono">{event.hash.to_string()}</span></p>
            </details>
        </li>
    }
}

/// A field that differs.
#[derive(Debug, PartialEq)]
struct Line {
    field: String,
    before: Option<String>,
    after: Option<String>,
}

/// Returns the fields that differ, by name; inner objects' fields by their path.
fn difference(before: Option<&Value>, after: Option<&Value>) -> Vec<Line> {
    let mut lines = Vec::new();
    compare("", before, after, &mut lines);
    lines
}

fn compare(path: &str, before: Option<&Value>, after: Option<&Value>, lines: &mut Vec<Line>) {
    if before == after {
        return;
    }
    let object = |value: Option<&Value>| value.and_then(Value::as_object).cloned();
    let text = |value: Option<&Value>| match value {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) => Some(text.clone()),
        Some(other) => Some(other.to_string()),
    };
    let (old, new) = (object(before), object(after));
    let is_object = |value: Option<&Value>, object: &Option<_>| {
        object.is_some() || value.is_none_or(Value::is_null)
    };
    if (old.is_some() || new.is_some()) && is_object(before, &old) && is_object(after, &new) {
        let (old, new) = (old.unwrap_or_default(), new.unwrap_or_default());
        let mut keys: Vec<&String> = old.keys().chain(new.keys()).collect();
        keys.sort();
        keys.dedup();
        for key in keys {
            let path = if path.is_empty() {
                key.clone()
            } else {
                format!("{path}.{key}")
            };
            compare(&path, old.get(key), new.get(key), lines);
        }
    } else if text(before) != text(after) {
        let field = if path.is_empty() { "value" } else { path }.to_owned();
        lines.push(Line {
            field,
            before: text(before),
            after: text(after),
        });
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_file_has_what_the_list_shows() {
        let query = AuditQuery {
            actor: "user:ann b".to_owned(),
            kind: "rollout".to_owned(),
            from: "2030-01-31T08:00".to_owned(),
            ..AuditQuery::default()
        };
        assert_eq!(
            download(&query, "csv"),
            "/api/v1/audit/download?format=csv&actor=user%3Aann%20b&subject_kind=rollout&from=2030-01-31T08%3A00%3A00Z"
        );
    }

    #[test]
    fn only_what_differs_is_shown() {
        let before =
            json!({"state": "running", "spec": {"name": "a", "priority": 0}, "reason": null});
        let after =
            json!({"state": "paused", "spec": {"name": "a", "priority": 1}, "reason": "too hot"});
        let lines = difference(Some(&before), Some(&after));
        let fields: Vec<_> = lines.iter().map(|line| line.field.as_str()).collect();
        assert_eq!(fields, ["reason", "spec.priority", "state"]);
        assert_eq!(lines[0].before, None);
        assert_eq!(lines[2].after.as_deref(), Some("paused"));
    }

    #[test]
    fn what_is_new_or_gone_has_one_side() {
        let value = json!({"name": "a"});
        assert_eq!(difference(None, Some(&value))[0].before, None);
        assert_eq!(difference(Some(&value), None)[0].after, None);
        assert_eq!(difference(None, None), []);
        assert_eq!(
            difference(Some(&json!(1)), Some(&json!(2)))[0].field,
            "value"
        );
    }
}
