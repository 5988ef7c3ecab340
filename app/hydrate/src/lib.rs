//! The dashboard's wasm: hydrates what the server rendered. Empty on the host.
#![cfg(target_arch = "wasm32")]

use leptos::prelude::document;

/// Takes over the page that the server rendered; called by the script that the shell includes.
///
/// Then marks `<html>` with `data-hydrated`, so that tests know when a click does more than the plain form would.
#[wasm_bindgen::prelude::wasm_bindgen]
pub fn hydrate() {
    console_error_panic_hook::set_once();
    leptos::mount::hydrate_body(otter_app::App);
    if let Some(root) = document().document_element() {
        // The page works without the mark; only a test would miss it.
        let _ = root.set_attribute("data-hydrated", "");
    }
}
