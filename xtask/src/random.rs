//! Random moments that a number brings back.

use std::time::{SystemTime, UNIX_EPOCH};

/// Returns a seed that differs from run to run.
pub(crate) fn seed_of_now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(1, |since| since.subsec_nanos().into())
}

/// SplitMix64 (Steele, Lea, Flood 2014): small, seeded, and good enough for moments.
pub(crate) struct Random(u64);

impl Random {
    /// Begins where `seed` says.
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from `least` to `most`, both included.
    pub(crate) fn between(&mut self, least: u64, most: u64) -> u64 {
        least + self.next() % (most - least + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAST: u64 = 100;
    const MOST: u64 = 3500;

    #[test]
    fn the_same_seed_brings_the_same_moments() {
        // The first outputs of the reference implementation for seed 1234567.
        let mut random = Random::new(1_234_567);
        assert_eq!(random.next(), 6_457_827_717_110_365_317);
        assert_eq!(random.next(), 3_203_168_211_198_807_973);
        let moments = |seed| {
            let mut random = Random::new(seed);
            (0..9)
                .map(|_| random.between(LEAST, MOST))
                .collect::<Vec<_>>()
        };
        assert_eq!(moments(7), moments(7));
        assert_ne!(moments(7), moments(8));
        assert!(
            moments(7)
                .iter()
                .all(|moment| (LEAST..=MOST).contains(moment))
        );
    }
}
