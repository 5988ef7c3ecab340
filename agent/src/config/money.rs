//! Amounts of money, in a currency that the operator knows.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

const MILLIONTHS: f64 = 1e6;
const MOST: f64 = 1e9;
const MIB: u128 = 1 << 20;

/// An amount, exact to a millionth of the currency's unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Money(u64);

impl Money {
    /// Returns what bytes cost at a price per MiB, rounded up.
    pub fn for_bytes(price_per_mib: Self, bytes: u64) -> Self {
        let whole = u128::from(price_per_mib.0) * u128::from(bytes);
        Self(u64::try_from(whole.div_ceil(MIB)).unwrap_or(u64::MAX))
    }

    /// Returns the sum.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// Returns the amount with its first two digits alone: one that grows all the time is news only now and then.
    #[must_use]
    pub fn roughly(self) -> Self {
        let digits = self.0.checked_ilog10().unwrap_or(0);
        let step = 10u64.saturating_pow(digits.saturating_sub(1));
        Self(self.0 - self.0 % step)
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{}.{:06}", self.0 / 1_000_000, self.0 % 1_000_000);
        f.pad(text.trim_end_matches('0').trim_end_matches('.'))
    }
}

impl<'de> Deserialize<'de> for Money {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let units = f64::deserialize(deserializer)?;
        if (0.0..=MOST).contains(&units) {
            Ok(Self((units * MILLIONTHS).round() as u64))
        } else {
            Err(serde::de::Error::custom(format!(
                "{units} is no price: a number from 0 to a thousand million"
            )))
        }
    }
}

impl Serialize for Money {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.0 as f64 / MILLIONTHS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn money(text: &str) -> Money {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn amounts_are_read_and_written_as_decimals() {
        for text in ["0", "0.05", "1.25", "3", "1000000000", "0.000001"] {
            assert_eq!(money(text).to_string(), text);
            let written = serde_json::to_string(&money(text)).unwrap();
            assert_eq!(money(&written), money(text), "{written}");
        }
        for text in ["-1", "1e10", "\"1\""] {
            assert!(serde_json::from_str::<Money>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn bytes_cost_their_share_of_a_mib_and_never_less() {
        let table = [
            ("0.5", 1 << 20, "0.5"),
            ("0.5", 3 << 19, "0.75"),
            ("0.5", 1, "0.000001"),
            ("0.5", 0, "0"),
            ("0", u64::MAX, "0"),
        ];
        for (price, bytes, cost) in table {
            let is = Money::for_bytes(money(price), bytes);
            assert_eq!(is, money(cost), "{bytes} bytes at {price}");
        }
        assert_eq!(Money::for_bytes(Money(u64::MAX), u64::MAX), Money(u64::MAX));
        assert_eq!(Money(u64::MAX).plus(Money(1)), Money(u64::MAX));
    }

    #[test]
    fn two_digits_are_news_enough() {
        let table = [
            ("0", "0"),
            ("0.000007", "0.000007"),
            ("0.04319", "0.043"),
            ("1.299", "1.2"),
            ("129.9", "120"),
        ];
        for (exact, rough) in table {
            assert_eq!(money(exact).roughly(), money(rough), "{exact}");
        }
    }
}
