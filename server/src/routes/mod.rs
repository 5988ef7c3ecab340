//! The handlers: folders mirror addresses, a file a resource.

pub(crate) mod admin;
pub(crate) mod device;
pub(crate) mod firmware;
pub(crate) mod health;
