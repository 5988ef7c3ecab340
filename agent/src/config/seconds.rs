//! Lengths of time as a person writes them: seconds, whole or not.

use std::time::Duration;

use serde::{Deserialize, Deserializer};

const LONGEST: f64 = 10.0 * 366.0 * 24.0 * 60.0 * 60.0;

/// Seconds, 0 to ten years; fractions are allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seconds(pub(super) Duration);

impl Seconds {
    pub(super) const fn of(sec: u64) -> Self {
        Self(Duration::from_secs(sec))
    }

    pub(super) const fn get(self) -> Duration {
        self.0
    }
}

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let sec = f64::deserialize(deserializer)?;
        if (0.0..=LONGEST).contains(&sec) {
            Ok(Self(Duration::from_secs_f64(sec)))
        } else {
            Err(serde::de::Error::custom(format!(
                "{sec} is no length of time: seconds from 0 to ten years"
            )))
        }
    }
}
