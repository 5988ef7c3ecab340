//! What handlers ask for. A handler that asks for a device or a role can't forget to check it.

mod bearer;
mod device;
mod json;
mod path;
mod query;
mod raw;
mod reason;
mod role;

pub(crate) use device::Device;
pub(crate) use json::Json;
pub(crate) use path::Path;
pub(crate) use query::Query;
pub(crate) use raw::Raw;
pub(crate) use reason::Reason;
pub(crate) use role::{Admin, Operator, Viewer};
