//! A part of a fleet, exact to a millionth.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A part of a whole in parts per million, 0 to 1,000,000; text and JSON are percent (`12.5`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Share(u32);

/// A number is no percentage.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("a percentage is a number from 0 to 100, not {0}")]
pub struct ShareError(pub String);

impl Share {
    /// Nothing.
    pub const NONE: Self = Self(0);
    /// Everything.
    pub const ALL: Self = Self(1_000_000);

    /// Takes a percentage from 0 to 100.
    pub fn percent(percent: f64) -> Result<Self, ShareError> {
        if percent.is_finite() && (0.0..=100.0).contains(&percent) {
            // In range by the check above, so the cast neither wraps nor loses its sign.
            Ok(Self((percent * 10_000.0).round() as u32))
        } else {
            Err(ShareError(percent.to_string()))
        }
    }

    /// Returns the percentage.
    pub fn as_percent(self) -> f64 {
        f64::from(self.0) / 10_000.0
    }

    /// Returns the fraction, 0 to 1.
    pub fn as_fraction(self) -> f64 {
        f64::from(self.0) / 1_000_000.0
    }

    /// Returns the parts per million.
    pub fn parts_per_million(self) -> u32 {
        self.0
    }

    /// Takes parts per million; `None` above a million.
    pub fn from_parts_per_million(parts: u32) -> Option<Self> {
        (parts <= 1_000_000).then_some(Self(parts))
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} %", self.as_percent())
    }
}

impl FromStr for Share {
    type Err = ShareError;
    fn from_str(text: &str) -> Result<Self, ShareError> {
        let number = text.trim().trim_end_matches('%').trim_end();
        number
            .parse::<f64>()
            .map_err(|_| ShareError(format!("`{text}`")))
            .and_then(Self::percent)
    }
}

impl TryFrom<f64> for Share {
    type Error = ShareError;
    fn try_from(percent: f64) -> Result<Self, ShareError> {
        Self::percent(percent)
    }
}

impl From<Share> for f64 {
    fn from(share: Share) -> Self {
        share.as_percent()
    }
}

#[cfg(feature = "openapi")]
impl utoipa::PartialSchema for Share {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        utoipa::openapi::ObjectBuilder::new()
            .schema_type(utoipa::openapi::schema::Type::Number)
            .minimum(Some(0.0))
            .maximum(Some(100.0))
            .into()
    }
}

#[cfg(feature = "openapi")]
impl utoipa::ToSchema for Share {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_in_and_out() {
        assert_eq!(
            "12.5 %".parse::<Share>().map(Share::parts_per_million),
            Ok(125_000)
        );
        assert_eq!(Share::percent(100.0), Ok(Share::ALL));
        assert_eq!(Share::percent(5.0).unwrap().to_string(), "5 %");
        for bad in ["-1", "100.1", "NaN", "inf", "many"] {
            assert!(bad.parse::<Share>().is_err(), "{bad}");
        }
    }
}
