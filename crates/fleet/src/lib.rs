//! The fleet on its database: devices, releases, rollouts, attempts, groups, accounts and the audit log; the artifact
//! store; the plan in memory. No HTTP, no HTML.
//!
//! Everything hangs off [`Fleet`], one `impl` block a file. A change and its [`audit`](crate::audit) event are one
//! transaction. A check-in that changes nothing touches neither disk nor database.
//!
//! | file | what |
//! |---|---|
//! | `config`, `error`, `actor`, `clock` | how it is set up, what can go wrong, who acts, what time it is |
//! | `database`, `schema`, `backup`, `entity` | connections, transactions, the schema's age, back-ups, tables |
//! | `audit` | the hash-chained log of events |
//! | `presence`, `known_device` | devices in memory: last seen, and what the decision needs |
//! | `poll`, `check_in`, `grant`, `attempts`, `reports`, `health` | the device's side of an update |
//! | `devices`, `device_search`, `device_changes`, `import`, `enrollment`, `enrollment_tokens`, `groups` | the registry |
//! | `artifacts`, `artifact_store`, `garbage`, `releases` | bytes and versions |
//! | `firmware`, `loose_reports`, `firmware_releases`, `figures` | what the plain firmware API says in other words |
//! | `trust`, `trust_files`, `online_keys`, `publication` | signatures, and what they publish |
//! | `rollouts`, `templates`, `engine`, `plan`, `scan` | phases, gates, what is under way, and whom it is for |
//! | `people`, `log_ins`, `one_time_links`, `sessions`, `api_keys` | who may do what, and for how long he is in |
//! | `reach` | the part of the fleet that a key reaches |
//! | `passwords`, `password_rules`, `second_factor`, `totp`, `secret`, `text` | how he shows that it is he |
//! | `webhooks` | who hears of rollouts, what of, and what is still to be sent |
//! | `comparison` | which release does better |
//! | `find` | anything that has a name, by a part of it |
//! | `overview`, `samples`, `attention` | the dashboard's first page: now, over time, and what needs a person |
//! | `changes`, `leases` | live changes, one server at a time |

mod actor;
mod api_keys;
mod artifact_store;
mod artifacts;
mod attempts;
mod attention;
mod audit;
mod audit_check;
mod audit_heads;
mod backup;
mod changes;
mod check_in;
mod clock;
mod comparison;
mod config;
mod database;
mod device_changes;
mod device_keys;
mod device_search;
mod devices;
mod engine;
mod enrollment;
mod enrollment_tokens;
mod entity;
mod error;
mod figures;
mod find;
mod firmware;
mod firmware_releases;
mod fleet;
mod garbage;
mod grant;
mod groups;
mod health;
mod import;
mod known_device;
mod leases;
mod list_change;
mod log_ins;
mod loose_reports;
mod one_time_links;
mod online_keys;
mod overview;
mod pace;
mod password_rules;
mod passwords;
mod people;
mod plan;
mod poll;
mod presence;
mod preview;
mod publication;
mod reach;
mod releases;
mod reports;
mod rollouts;
mod samples;
mod scan;
mod schema;
mod second_factor;
mod secret;
mod sessions;
mod templates;
mod text;
mod totp;
mod trust;
mod trust_files;
mod webhooks;

pub use actor::Actor;
pub use api_keys::ApiCaller;
pub use artifact_store::{ArtifactPlace, ArtifactRedirect, ObjectAccess};
pub use artifacts::{ArtifactReader, Upload};
pub use backup::{Manifest, back_up, restore};
pub use clock::Clock;
pub use config::FleetConfig;
pub use error::{Error, Result};
pub use figures::Figures;
pub use firmware::{FirmwareAnswer, FirmwareOffer, FirmwareReport};
pub use firmware_releases::{NewFirmware, PublishedFirmware};
pub use fleet::Fleet;
pub use known_device::KnownDevice;
pub use log_ins::LogIn;
pub use loose_reports::{UpdateFilter, UpdateWord};
pub use pace::{Pace, Rate, Ticks};
pub use people::Person;
pub use reach::Reach;
pub use second_factor::FactorOffer;
pub use sessions::{SESSION_IDLE_SEC, SESSION_LIFE_SEC, StoredSession, VISIT_SEC};
pub use webhooks::{
    DueDelivery, TriedDelivery, WebhookQueue, WebhookSecret, is_public as is_public_address,
};
