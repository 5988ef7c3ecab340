//! The agent on each device: polls, installs atomically, checks health, rolls back by itself.
//!
//! | room | what |
//! |---|---|
//! | [`agent`] | the loop, and everything that states work with |
//! | `states/` | the state machine, a file per state |
//! | [`journal`], [`history`] | where the agent is, and how attempts ended |
//! | [`install`] | installers, by kind of artifact |
//! | [`backup`] | the data that is put back where an update is taken back |
//! | `boot`, `bootloader` | the boot loader, which is told what to start, and which version it is |
//! | [`service`], `program`, `systemctl` | the program that is kept running, and those that are run to their end |
//! | [`health`] | whether a version stays |
//! | [`life`], [`observer`] | signs that the agent lives, and who wants to know how it gets on |
//! | [`orders`] | what somebody at the device asks for |
//! | [`net`], `outbox`, [`enroll`] | the server: calls, downloads, reports, enrollment |
//! | `attempt_logs`, `redact` | what the server hears of attempts that went wrong, without secrets |
//! | `trust`, [`trust_store`], [`identity`] | whom the device trusts, and who it is |
//! | [`disk`], [`machine`] | everything that is done to disk, and to the machine |
//! | [`policy`] | what the device asks for beyond what the server allows, what it counts and says of itself |
//! | [`doctor`] | what on this device would keep an update from working |
//! | [`config`], [`status`], [`logging`] | what a person writes and reads |
//!
//! What is deliberately absent: nothing here decides *that* the device may update (the server's `decide()` does; the local
//! policy only says "not now"), and nothing installs what the verified targets metadata doesn't name.

pub mod agent;
mod attempt_logs;
pub mod backup;
mod boot;
mod bootloader;
mod clock;
pub mod config;
pub mod disk;
pub mod doctor;
pub mod enroll;
pub mod health;
pub mod history;
pub mod identity;
pub mod install;
pub mod journal;
pub mod life;
mod lock;
pub mod logging;
pub mod machine;
pub mod net;
pub mod observer;
pub mod orders;
mod outbox;
pub mod policy;
mod program;
mod redact;
mod rotate;
pub mod service;
mod states;
pub mod status;
mod systemctl;
#[cfg(test)]
mod testing;
mod trust;
pub mod trust_store;
