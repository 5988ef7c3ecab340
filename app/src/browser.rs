//! The little that is asked of the browser itself. On the server there is none, and nothing happens.

#[cfg(feature = "hydrate")]
mod real {
    use leptos::prelude::*;
    use wasm_bindgen::JsCast;
    use web_sys::{HtmlDialogElement, HtmlElement, ScrollIntoViewOptions, ScrollLogicalPosition};

    fn element<T: JsCast>(id: &str) -> Option<T> {
        document().get_element_by_id(id)?.dyn_into().ok()
    }

    /// Shows a dialog over the page; the browser keeps the keyboard in it, and gives it back afterwards.
    pub(crate) fn show_dialog(id: &str) {
        let dialog = element::<HtmlDialogElement>(id).filter(|dialog| !dialog.open());
        if dialog.is_some_and(|dialog| dialog.show_modal().is_err()) {
            leptos::logging::warn!("the dialog {id} can't be shown");
        }
    }

    /// Closes a dialog.
    pub(crate) fn close_dialog(id: &str) {
        if let Some(dialog) = element::<HtmlDialogElement>(id).filter(HtmlDialogElement::open) {
            dialog.close();
        }
    }

    /// Tells whether any dialog is open.
    pub(crate) fn is_dialog_open() -> bool {
        matches!(document().query_selector("dialog[open]"), Ok(Some(_)))
    }

    /// Presses a control of the page.
    pub(crate) fn press(selector: &str) {
        let found = document().query_selector(selector).ok().flatten();
        if let Some(control) = found.and_then(|found| found.dyn_into::<HtmlElement>().ok()) {
            control.click();
        }
    }

    /// Moves a list so far that one of its lines is in view.
    pub(crate) fn bring_into_view(id: &str) {
        if let Some(line) = document().get_element_by_id(id) {
            let options = ScrollIntoViewOptions::new();
            options.set_block(ScrollLogicalPosition::Nearest);
            line.scroll_into_view_with_scroll_into_view_options(&options);
        }
    }

    /// Tells whether an event comes from something that is typed into or chosen from.
    pub(crate) fn is_in_field(event: &web_sys::KeyboardEvent) -> bool {
        let Some(target) = event.target() else {
            return false;
        };
        let Ok(target) = target.dyn_into::<HtmlElement>() else {
            return false;
        };
        matches!(target.tag_name().as_str(), "INPUT" | "TEXTAREA" | "SELECT")
            || target.is_content_editable()
    }

    /// Returns what this browser keeps under a name.
    pub(crate) fn kept(name: &str) -> Option<String> {
        window().local_storage().ok()??.get_item(name).ok()?
    }

    /// Keeps a text under a name in this browser, where it lets us.
    pub(crate) fn keep(name: &str, text: &str) {
        let storage = window().local_storage().ok().flatten();
        if storage.is_none_or(|storage| storage.set_item(name, text).is_err()) {
            leptos::logging::warn!("this browser keeps no {name}");
        }
    }
}

#[cfg(not(feature = "hydrate"))]
mod none {
    pub(crate) fn show_dialog(_: &str) {}
    pub(crate) fn close_dialog(_: &str) {}
    pub(crate) fn is_dialog_open() -> bool {
        false
    }
    pub(crate) fn press(_: &str) {}
    pub(crate) fn bring_into_view(_: &str) {}
    pub(crate) fn is_in_field(_: &leptos::web_sys::KeyboardEvent) -> bool {
        false
    }
    pub(crate) fn kept(_: &str) -> Option<String> {
        None
    }
    pub(crate) fn keep(_: &str, _: &str) {}
}

#[cfg(not(feature = "hydrate"))]
pub(crate) use none::*;
#[cfg(feature = "hydrate")]
pub(crate) use real::*;
