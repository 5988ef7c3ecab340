//! A device's fixed place between 0 and 1, by hash, that canary shares cut.

use sha2::{Digest, Sha256};

use crate::id::{DeviceId, RolloutId};
use crate::share::Share;

/// A place between 0 and 1 as a fraction of 2^64.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cohort(pub u64);

impl Cohort {
    /// Returns the place that is the same in every rollout: the same devices go first every time.
    pub fn fixed(device: &DeviceId) -> Self {
        Self::salted("", device)
    }

    /// Returns the place in one rollout: the risk moves around the fleet.
    pub fn spread(rollout: RolloutId, device: &DeviceId) -> Self {
        Self::salted(&rollout.to_string(), device)
    }

    /// Returns the place in a split that a salt names.
    pub fn of_split(salt: &str, device: &DeviceId) -> Self {
        // Rollouts' numbers are salts too: a split that is named `7` must not cut as the spread cohort of rollout 7 does.
        Self::salted(&format!("split:{salt}"), device)
    }

    /// Hashes: the first 8 bytes, big-endian, of SHA-256(salt ‖ 0x00 ‖ device id).
    fn salted(salt: &str, device: &DeviceId) -> Self {
        let digest = Sha256::new()
            .chain_update(salt)
            .chain_update([0])
            .chain_update(device.as_str())
            .finalize();
        let mut first = [0; 8];
        first
            .iter_mut()
            .zip(digest.iter())
            .for_each(|(to, from)| *to = *from);
        Self(u64::from_be_bytes(first))
    }

    /// Tells whether a share takes this place in; exact, so that 100 % takes in every place.
    pub fn is_below(self, share: Share) -> bool {
        u128::from(self.0) * 1_000_000 < u128::from(share.parts_per_million()) << 64
    }

    /// Returns the place as a percentage, 0 to 100, to show.
    pub fn as_percent(self) -> f64 {
        self.0 as f64 / 2f64.powi(64) * 100.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn device(id: &str) -> DeviceId {
        DeviceId::new(id).unwrap()
    }

    /// The vectors of docs/DEVICES.md.
    #[test]
    fn vectors() {
        let fixed = |id| format!("{:016x}", Cohort::fixed(&device(id)).0);
        assert_eq!(fixed("device-001"), "73c525b5df6ab9f6");
        assert_eq!(fixed("gw-0042"), "b32b487aaa49a616");
        assert_eq!(
            format!(
                "{:016x}",
                Cohort::spread(RolloutId(7), &device("device-001")).0
            ),
            "d4893c2ef6efed17"
        );
    }

    #[test]
    fn everything_is_everybody_and_nothing_is_nobody() {
        assert!(Cohort(u64::MAX).is_below(Share::ALL));
        assert!(!Cohort(0).is_below(Share::NONE));
    }

    #[test]
    fn uniform_within_one_percent_over_a_hundred_thousand() {
        let places: Vec<Cohort> = (0..100_000)
            .map(|n| Cohort::fixed(&device(&format!("device-{n}"))))
            .collect();
        for percent in [1, 5, 10, 25, 50, 75, 90, 99] {
            let share = Share::percent(f64::from(percent)).unwrap();
            let inside = places.iter().filter(|place| place.is_below(share)).count() as f64;
            let off = (inside / 100_000.0 - share.as_fraction()).abs();
            assert!(off < 0.01, "{percent} %: {inside} of 100000");
        }
    }

    proptest! {
        #[test]
        fn monotone_in_the_share(id in "[a-zA-Z0-9-]{1,40}", a in 0u32..=1_000_000, b in 0u32..=1_000_000) {
            let (low, high) = (a.min(b), a.max(b));
            let place = Cohort::fixed(&device(&id));
            let (low, high) = (Share::from_parts_per_million(low).unwrap(), Share::from_parts_per_million(high).unwrap());
            prop_assert!(!place.is_below(low) || place.is_below(high));
        }
    }
}
