//! How many devices were finished when, for a chart.

use super::MAX_POINTS;
use crate::time::Timestamp;

/// Parts of a device that count as none: counts are fractions while they flow.
pub(super) const NONE: f64 = 1e-6;

/// Returns a number of devices; what is not quite one isn't finished yet.
pub(super) fn whole(number: f64) -> u64 {
    // Casts of floats saturate.
    (number + NONE) as u64
}

/// Leaves so many points that a curve can be drawn, evenly over time; the first and the last stay.
pub(super) fn drawn(curve: &[(Timestamp, f64)]) -> Vec<(Timestamp, u64)> {
    let (Some(first), Some(last)) = (curve.first(), curve.last()) else {
        return Vec::new();
    };
    let parts = i64::try_from(MAX_POINTS).unwrap_or(i64::MAX) - 2;
    let least = (last.0.0 - first.0.0) / parts;
    let mut points = vec![*first];
    let inner = curve.get(1..curve.len().saturating_sub(1));
    for point in inner.unwrap_or_default() {
        if points
            .last()
            .is_none_or(|before| point.0.0 - before.0.0 > least)
        {
            points.push(*point);
        }
    }
    if curve.len() > 1 {
        points.push(*last);
    }
    let point = |(at, finished): (Timestamp, f64)| (at, whole(finished));
    points.into_iter().map(point).collect()
}
