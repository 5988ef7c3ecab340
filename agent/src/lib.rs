//! The agent on each device: polls, installs atomically, checks health, rolls back by itself.
//!
//! | room | what |
//! |---|---|
//! | [`agent`] | the loop, and everything that states work with |
//! | `states/` | the state machine, a file per state |
//! | [`journal`], [`history`] | where the agent is, and how attempts ended |
//! | [`install`] | installers, by kind of artifact |
//! | [`service`] | the program that is kept running |
//! | [`health`] | whether a version stays |
//! | [`net`], `outbox`, [`enroll`] | the server: calls, downloads, reports, enrollment |
//! | `trust`, [`trust_store`], [`identity`] | whom the device trusts, and who it is |
//! | [`disk`] | everything that is done to disk |
//! | [`config`], [`status`], [`logging`] | what a person writes and reads |
//!
//! What is deliberately absent: nothing here decides *whether* the device may update (the server's `decide()` does), and
//! nothing installs what the verified targets metadata doesn't name.

pub mod agent;
mod clock;
pub mod config;
pub mod disk;
pub mod enroll;
pub mod health;
pub mod history;
pub mod identity;
pub mod install;
pub mod journal;
mod lock;
pub mod logging;
pub mod net;
mod outbox;
pub mod service;
mod states;
pub mod status;
#[cfg(test)]
mod testing;
mod trust;
pub mod trust_store;
