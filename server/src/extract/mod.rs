//! What handlers ask for. A handler that asks for a device or a role can't forget to check it,
//! and one that doesn't ask for [`Scoped`] refuses keys that reach a part of the fleet only.

mod bearer;
mod device;
mod json;
mod optional;
mod path;
mod query;
mod raw;
mod role;

pub(crate) use device::{Device, client};
pub(crate) use json::{Json, field as field_of, from_fields, parse as parse_json};
pub(crate) use optional::Optional;
pub(crate) use path::Path;
pub(crate) use query::Query;
pub(crate) use raw::Raw;
pub(crate) use role::{Admin, Approver, Myself, Operator, Recent, Scoped, Standing, Viewer};
