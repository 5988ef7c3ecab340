//! What people and programs ask of the admin API, `/api/v1`, and of the dashboard's server functions.

mod attention;
mod audit;
mod device;
mod device_key;
mod find;
mod import;
mod people;
mod preview;
mod release;
mod rollout;
mod scope;
mod template;
mod trust;
mod webhook;

use serde::{Deserialize, Serialize};

pub use attention::*;
pub use audit::*;
pub use device::*;
pub use device_key::*;
pub use find::*;
pub use import::*;
pub use people::*;
pub use preview::*;
pub use release::*;
pub use rollout::*;
pub use scope::*;
pub use template::*;
pub use trust::*;
pub use webhook::*;

/// One page of a list, and where the next begins.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Page<T> {
    /// The page's items.
    pub items: Vec<T>,
    /// Give it as `cursor` to get the next page; absent on the last.
    #[serde(default = "Option::default")]
    pub next: Option<String>,
}
