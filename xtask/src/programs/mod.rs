//! Otter's programs as child processes, used as a person would use them.
//!
//! | file | what |
//! |---|---|
//! | `folder` | a folder of their own, with the programs in it, begun anew each time |
//! | `server` | `otter-server` on SQLite, and its admin API |
//! | `otter` | the command line, with its keys |
//! | `gateway` | `otter-agent`, which keeps the sample program running |
//! | `simulated` | `otter simulate` |

mod folder;
mod gateway;
mod otter;
mod secret;
mod server;
mod simulated;

pub(crate) use folder::Folder;
pub(crate) use gateway::{Gateway, bundle, greeting};
pub(crate) use otter::Otter;
pub(crate) use secret::{key, password};
pub(crate) use server::{Api, Server, Setup, ensure_free};
pub(crate) use simulated::{Fleet, Orders, tokens};
