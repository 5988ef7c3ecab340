//! Otter's server: device API, admin API and dashboard in one binary.
//!
//! Handlers translate, `fleet` decides: nothing here touches the database, and no rule about updates stands here.
//!
//! | file | what |
//! |---|---|
//! | [`config`] | flags, environment and `otter.toml`, in that order |
//! | [`server`] | what every handler shares |
//! | [`router`] | every address that the server knows |
//! | [`serve`](mod@serve) | listening, and draining when told to stop |
//! | [`connections`], [`proxies`] | how clients are met, and who is believed where they are |
//! | [`tls`], `device_certificate` | TLS without a proxy, and devices that are known by a certificate |
//! | `routes` | the handlers; folders mirror addresses, a file a resource |
//! | `extract` | what handlers ask for: the device, a role, a body, a path |
//! | [`limits`] | how often who may ask |
//! | [`failure`] | errors as problem documents |
//! | `same_origin`, `page_headers`, [`sessions`] | what browsers need |
//! | [`openapi`] | the description of both APIs, made from the code |
//! | [`audit_heads`] | takes signed heads of the audit log off this machine |
//! | [`webhooks`] | tells receivers what happened |
//! | [`site`] | the dashboard's files, embedded |

pub mod audit_heads;
mod body;
pub mod config;
pub mod connections;
mod dashboard;
mod database_lock;
mod device_certificate;
mod extract;
pub mod failure;
pub mod limits;
pub mod logs;
pub mod openapi;
mod page_headers;
pub mod proxies;
mod range;
pub mod router;
mod routes;
mod same_origin;
pub mod serve;
pub mod server;
pub mod sessions;
pub mod setup_link;
pub mod site;
pub mod tls;
pub mod webhooks;

pub use config::{Config, Settings};
pub use server::Server;
