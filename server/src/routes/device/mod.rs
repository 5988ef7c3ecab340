//! The device API, `/device/v1`.

pub(crate) mod artifacts;
pub(crate) mod attempts;
pub(crate) mod check_in;
pub(crate) mod enroll;
pub(crate) mod rotate;
pub(crate) mod trust;

/// Most bytes of what a device says at once.
pub(crate) const BODY_LIMIT: usize = 64 << 10;
