//! Light, dark, or as the system is: kept in a cookie, so that the first byte is already right.

use leptos::prelude::*;

use crate::components::icon::{Icon, Shape};

/// The cookie's name.
#[cfg(any(feature = "ssr", feature = "hydrate"))]
pub(crate) const COOKIE: &str = "otter_theme";

/// Returns the theme that was chosen, `light` or `dark`; empty for the system's.
#[cfg(feature = "ssr")]
pub(crate) fn chosen() -> String {
    let theme = crate::api::auth::cookie(COOKIE).unwrap_or_default();
    if matches!(theme.as_str(), "light" | "dark") {
        theme
    } else {
        String::new()
    }
}

/// In the browser the server's answer counts; this is not asked.
#[cfg(not(feature = "ssr"))]
pub(crate) fn chosen() -> String {
    String::new()
}

/// Takes a theme on at once and for a year.
#[cfg(feature = "hydrate")]
fn choose(theme: &str) {
    use wasm_bindgen::JsCast;
    let page = document();
    if let Some(root) = page.document_element() {
        let set = if theme.is_empty() {
            root.remove_attribute("data-theme")
        } else {
            root.set_attribute("data-theme", theme)
        };
        if set.is_err() {
            leptos::logging::warn!("the theme can't be set");
        }
    }
    let age = if theme.is_empty() { 0 } else { 31_536_000 };
    // As the server names it: see `Site::cookie_name`.
    let is_secure = window()
        .location()
        .protocol()
        .is_ok_and(|name| name == "https:");
    let (prefix, secure) = if is_secure {
        ("__Host-", "; Secure")
    } else {
        ("", "")
    };
    let cookie = format!("{prefix}{COOKIE}={theme}; Path=/; SameSite=Lax{secure}; Max-Age={age}");
    if let Ok(page) = page.dyn_into::<web_sys::HtmlDocument>()
        && page.set_cookie(&cookie).is_err()
    {
        leptos::logging::warn!("the theme can't be kept");
    }
}

/// Lets a person choose the theme; works as a plain form, too.
#[component]
pub(crate) fn ThemeSwitch() -> impl IntoView {
    let theme = RwSignal::new(SharedValue::new(chosen).into_inner());
    let choices = [
        ("", "System theme", Shape::Monitor),
        ("light", "Light theme", Shape::Sun),
        ("dark", "Dark theme", Shape::Moon),
    ];
    let button = move |(value, label, shape): (&'static str, &'static str, Shape)| {
        let on_click = move |event: leptos::ev::MouseEvent| {
            event.prevent_default();
            theme.set(value.to_owned());
            #[cfg(feature = "hydrate")]
            choose(value);
        };
        view! {
            <button
                class="icon-button"
                type="submit"
                name="theme"
                value=value
                aria-label=label
                title=label
                aria-pressed=move || (theme.get() == value).to_string()
                on:click=on_click
            >
                <Icon shape />
            </button>
        }
    };
    view! {
        <form class="theme-switch" method="post" action="/ui/theme" role="group" aria-label="Theme">
            {choices.map(button).collect_view()}
        </form>
    }
}
