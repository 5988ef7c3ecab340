//! What pages are made of.

pub(crate) mod badge;
pub(crate) mod code;
pub(crate) mod empty;
pub(crate) mod field;
pub(crate) mod frame;
pub(crate) mod icon;
pub(crate) mod keys;
pub(crate) mod loaded;
pub(crate) mod page_head;
pub(crate) mod pager;
pub(crate) mod palette;
pub(crate) mod phases;
pub(crate) mod problem;
pub(crate) mod rollout_row;
pub(crate) mod size;
pub(crate) mod timeline;
pub(crate) mod trust_warnings;
pub(crate) mod when;
