//! The document around every page, and the router inside it.

use leptos::prelude::*;
use leptos_meta::{HashedStylesheet, MetaTags, Title, provide_meta_context};
use leptos_router::components::{ParentRoute, Route, Router, Routes};
use leptos_router::{SsrMode, path};

use crate::clock::Now;
use crate::components::frame::Frame;
use crate::pages;
use crate::theme;

/// The whole HTML document, as the server renders it.
pub fn shell(options: LeptosOptions) -> impl IntoView {
    let theme = Some(theme::chosen()).filter(|theme| !theme.is_empty());
    view! {
        <!DOCTYPE html>
        <html lang="en" data-theme=theme>
            <head>
                <meta charset="utf-8" />
                <meta name="viewport" content="width=device-width, initial-scale=1" />
                <meta name="color-scheme" content="light dark" />
                <link rel="icon" href="/favicon.svg" type="image/svg+xml" />
                <HashedStylesheet options=options.clone() id="otter-css" />
                <HydrationScripts options />
                <MetaTags />
            </head>
            <body>
                <App />
            </body>
        </html>
    }
}

/// The dashboard itself: the same on the server and in the browser.
#[component]
pub fn App() -> impl IntoView {
    provide_meta_context();
    Now::provide();
    tell_when_hydrated();
    // Pages are sent whole: readable without the wasm, and with the status that they have.
    let ssr = || SsrMode::Async;
    view! {
        <Title formatter=|title: String| if title.is_empty() { "Otter".to_owned() } else { format!("{title} · Otter") } />
        <Router>
            <Routes fallback=pages::NotFound>
                <Route path=path!("/login") view=pages::Login ssr=ssr() />
                <Route path=path!("/login/code") view=pages::LoginCode ssr=ssr() />
                <Route path=path!("/setup") view=pages::SetUp ssr=ssr() />
                <Route path=path!("/welcome") view=pages::Welcome ssr=ssr() />
                <ParentRoute path=path!("") view=Frame ssr=ssr()>
                    <Route path=path!("") view=pages::Overview ssr=ssr() />
                    <Route path=path!("devices") view=pages::Devices ssr=ssr() />
                    <Route path=path!("devices/:id") view=pages::Device ssr=ssr() />
                    <Route path=path!("releases") view=pages::Releases ssr=ssr() />
                    <Route path=path!("releases/:id") view=pages::Release ssr=ssr() />
                    <Route path=path!("rollouts") view=pages::Rollouts ssr=ssr() />
                    <Route path=path!("rollouts/new") view=pages::NewRollout ssr=ssr() />
                    <Route path=path!("rollouts/:id") view=pages::Rollout ssr=ssr() />
                    <Route path=path!("audit") view=pages::Audit ssr=ssr() />
                    <Route path=path!("settings") view=pages::Settings ssr=ssr() />
                    <Route path=path!("account") view=pages::Account ssr=ssr() />
                    <Route path=path!("confirm") view=pages::Confirm ssr=ssr() />
                </ParentRoute>
            </Routes>
        </Router>
    }
}

/// Marks the document once the wasm has taken it over: styles and tests may wait for that.
fn tell_when_hydrated() {
    Effect::new(|_| {
        let root = document().document_element();
        if root.is_some_and(|root| root.set_attribute("data-hydrated", "").is_err()) {
            leptos::logging::warn!("the document can't be marked as hydrated");
        }
    });
}
