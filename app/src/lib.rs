//! The dashboard: pages and components, rendered on the server and hydrated in the browser.
//!
//! | room | what |
//! |---|---|
//! | `shell` | the document, the router |
//! | `pages` | one file a page |
//! | `components` | what pages are made of |
//! | `api` | server functions, thin on the fleet |
//! | `live`, `clock`, `theme`, `next` | live changes, the time, light and dark, addresses |
//! | `destinations`, `strokes`, `browser` | where one can jump, by which keys, and what the browser does for it |
//! | `session_keys`, `site` | what a session holds, and where the server is reached
//! | `upload` | artifacts from the browser: hashed, then sent |

#![recursion_limit = "256"]
// The component macro writes public items, whatever the component itself is.
#![allow(unreachable_pub)]

mod api;
mod browser;
mod clock;
mod components;
mod destinations;
mod live;
mod next;
mod pages;
#[cfg(feature = "ssr")]
pub mod session_keys;
mod shell;
#[cfg(feature = "ssr")]
mod site;
mod strokes;
mod theme;
#[cfg(feature = "hydrate")]
mod upload;

pub use shell::{App, shell};
#[cfg(feature = "ssr")]
pub use site::Site;
