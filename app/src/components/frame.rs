//! The frame of every page: where one can go, who one is, and what is live.

use leptos::prelude::*;
use leptos_router::components::Outlet;
use leptos_router::hooks::use_location;
use otter_protocol::admin::{Me, Role};

use crate::api::session::{LogOut, get_me};
use crate::components::icon::{Icon, Shape};
use crate::components::keys::Keys;
use crate::components::loaded::Visitor;
use crate::components::palette::{OpenPalette, Palette};
use crate::live::{Live, live};
use crate::theme::ThemeSwitch;

const PLACES: [(&str, &str, Shape); 5] = [
    ("/", "Overview", Shape::Overview),
    ("/devices", "Devices", Shape::Device),
    ("/releases", "Releases", Shape::Release),
    ("/rollouts", "Rollouts", Shape::Rollout),
    ("/audit", "Audit", Shape::Audit),
];

/// The frame around a page.
#[component]
pub(crate) fn Frame() -> impl IntoView {
    let visitor = Resource::new_blocking(|| (), |()| get_me());
    provide_context(Visitor(visitor));
    Live::provide();
    focus_on_arrival();
    view! {
        <a class="skip-link" href="#content" rel="external">
            "Skip to content"
        </a>
        <div class="app">
            <aside class="sidebar">
                <a class="brand" href="/">
                    <img src="/favicon.svg" alt="" width="26" height="26" />
                    <span>"Otter"</span>
                </a>
                <OpenPalette />
                <nav class="nav" aria-label="Main">
                    <ul>
                        {PLACES.map(|(href, name, shape)| view! { <li><Place href name shape /></li> }).collect_view()}
                        <Suspense>
                            {move || Suspend::new(async move {
                                let is_admin = visitor.await.is_ok_and(|me| me.role >= Role::Admin);
                                is_admin.then(|| view! { <li><Place href="/settings" name="Settings" shape=Shape::Settings /></li> })
                            })}
                        </Suspense>
                    </ul>
                </nav>
                <div class="sidebar-foot">
                    <ThemeSwitch />
                    <Suspense>
                        {move || Suspend::new(async move { visitor.await.ok().map(|me| view! { <Person me /> }) })}
                    </Suspense>
                </div>
            </aside>
            <main class="main" id="content" tabindex="-1">
                <ConnectionNotice />
                <Outlet />
            </main>
        </div>
        <Palette />
        <Keys />
    }
    .into_any()
}

/// A place in the navigation, marked where one is.
#[component]
fn Place(href: &'static str, name: &'static str, shape: Shape) -> impl IntoView {
    let path = use_location().pathname;
    let current = move || {
        path.with(|path| match path.strip_prefix(href) {
            Some("") => Some("page"),
            Some(below) if href != "/" && below.starts_with('/') => Some("true"),
            _ => None,
        })
    };
    view! {
        <a href=href aria-current=current>
            <Icon shape />
            {name}
        </a>
    }
}

/// Who is logged in.
#[component]
fn Person(me: Me) -> impl IntoView {
    let log_out = ServerAction::<LogOut>::new();
    view! {
        <div class="person">
            <p class="person-name truncate">
                <a href="/account" title="Your account"><strong>{me.name}</strong></a>
                <span class="hint">{me.role.as_str()}</span>
            </p>
            <ActionForm action=log_out>
                <button class="icon-button" type="submit" aria-label="Log out" title="Log out">
                    <Icon shape=Shape::LogOut />
                </button>
            </ActionForm>
        </div>
    }
}

/// Says when what is shown may be old.
#[component]
fn ConnectionNotice() -> impl IntoView {
    let live = live();
    view! {
        <div role="status" class="connection">
            {move || live.is_lost().then(|| view! {
                <p class="notice" data-tone="warning">"The connection to the server is lost; what you see may be old. Trying again…"</p>
            })}
        </div>
    }
}

/// After going to another page within the dashboard, the keyboard is at its top, as after loading one.
fn focus_on_arrival() {
    let path = use_location().pathname;
    Effect::new(move |before: Option<String>| {
        let here = path.get();
        if before.is_some_and(|before| before != here)
            && let Some(content) = document().get_element_by_id("content")
        {
            focus(&content);
        }
        here
    });
}

#[cfg(feature = "hydrate")]
fn focus(element: &leptos::web_sys::Element) {
    use wasm_bindgen::JsCast;
    if let Some(element) = element.dyn_ref::<web_sys::HtmlElement>()
        && element.focus().is_err()
    {
        leptos::logging::warn!("the page can't be focused");
    }
}

#[cfg(not(feature = "hydrate"))]
fn focus(_: &leptos::web_sys::Element) {}
