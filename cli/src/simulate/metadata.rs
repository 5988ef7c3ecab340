//! What simulated devices say of themselves.

use otter_protocol::DeviceId;
use otter_protocol::cohort::Cohort;
use otter_protocol::device::Pairs;

/// Where they say they are, for selectors.
const LOCATIONS: [&str; 4] = ["warehouse", "office", "field", "laboratory"];

/// Returns what a device says of itself: always the same.
pub(super) fn metadata(id: &DeviceId) -> Pairs {
    let place = Cohort::fixed(id).0 as usize % LOCATIONS.len();
    let location = LOCATIONS.get(place).copied().unwrap_or_default();
    Pairs::from([
        ("location".to_owned(), location.to_owned()),
        ("simulated".to_owned(), "true".to_owned()),
    ])
}
