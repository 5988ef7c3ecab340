//! When the sun is up: the formulas of NOAA's solar calculator (Meeus, Astronomical Algorithms), good to a minute or two,
//! and to ten near the poles.

use jiff::ToSpan;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use otter_protocol::Timestamp;
use otter_protocol::window::Opening;

use crate::config::SolarConfig;

/// The sun's zenith angle when its upper edge is on the horizon, with the air's refraction.
const ZENITH: f64 = 90.833;
const MS_PER_MINUTE: f64 = 60_000.0;
const HALF_A_DAY_MS: i64 = 12 * 60 * 60 * 1000;
/// By so much days of midnight sun overlap: noons are not quite a day apart.
const OVERLAP_MS: i64 = 60 * 1000;
/// How far ahead daylight is looked for: a polar night is half a year long.
const LOOK_AHEAD_DAYS: i64 = 366;

/// The sun over one day of a place, from its midnight to its midnight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Daylight {
    /// It rises and sets.
    Between(Timestamp, Timestamp),
    /// It doesn't set.
    AllDay {
        /// When it is highest.
        noon: Timestamp,
    },
    /// It doesn't rise.
    Night,
}

/// Where the sun stands, seen from the earth's middle.
struct Position {
    /// Radians north of the equator.
    declination: f64,
    /// Minutes that a sundial is ahead of a clock.
    equation_of_time: f64,
}

/// Returns the sun's position at a time in milliseconds since 1970.
fn position(at: f64) -> Position {
    let century = (at / 86_400_000.0 + 2_440_587.5 - 2_451_545.0) / 36_525.0;
    let polynomial = |terms: [f64; 3]| {
        terms
            .iter()
            .rev()
            .fold(0.0, |sum, term| sum * century + term)
    };
    let longitude = polynomial([280.46646, 36_000.769_83, 0.000_303_2]).to_radians();
    let anomaly = polynomial([357.52911, 35_999.050_29, -0.000_153_7]).to_radians();
    let eccentricity = polynomial([0.016_708_634, -0.000_042_037, -0.000_000_126_7]);
    let center = anomaly.sin() * polynomial([1.914_602, -0.004_817, -0.000_014])
        + (2.0 * anomaly).sin() * polynomial([0.019_993, -0.000_101, 0.0])
        + (3.0 * anomaly).sin() * 0.000_289;
    let node = (125.04 - 1934.136 * century).to_radians();
    let apparent = longitude + (center - 0.005_69 - 0.004_78 * node.sin()).to_radians();
    let tilt = polynomial([23.439_291_1, -0.013_004_2, -0.000_000_16]) + 0.002_56 * node.cos();
    let tilt = tilt.to_radians();
    let y = (tilt / 2.0).tan().powi(2);
    let equation = y * (2.0 * longitude).sin() - 2.0 * eccentricity * anomaly.sin()
        + 4.0 * eccentricity * y * anomaly.sin() * (2.0 * longitude).cos()
        - 0.5 * y * y * (4.0 * longitude).sin()
        - 1.25 * eccentricity * eccentricity * (2.0 * anomaly).sin();
    Position {
        declination: (tilt.sin() * apparent.sin()).asin(),
        equation_of_time: 4.0 * equation.to_degrees(),
    }
}

/// How far the sun is from noon when it rises or sets.
enum HourAngle {
    Degrees(f64),
    NeverSets,
    NeverRises,
}

fn hour_angle(latitude: f64, declination: f64) -> HourAngle {
    // At a pole itself the tangent is as good as endless, which is what decides.
    let latitude = latitude.to_radians();
    let cos = ZENITH.to_radians().cos() / (latitude.cos() * declination.cos())
        - latitude.tan() * declination.tan();
    if cos >= 1.0 {
        HourAngle::NeverRises
    } else if cos <= -1.0 {
        HourAngle::NeverSets
    } else {
        HourAngle::Degrees(cos.acos().to_degrees())
    }
}

/// Returns the sun's day at a place on a date there, by the sun's own clock.
pub(super) fn daylight(date: Date, latitude: f64, longitude: f64) -> Daylight {
    let midnight = TimeZone::UTC
        .to_timestamp(date.to_datetime(jiff::civil::Time::midnight()))
        .map_or(0.0, |at| at.as_millisecond() as f64);
    // The sun stands over the meridian that is `angle` degrees west at this time.
    let time = |angle: f64, equation: f64| {
        midnight + (720.0 - 4.0 * (longitude + angle) - equation) * MS_PER_MINUTE
    };
    let noon = time(0.0, position(time(0.0, 0.0)).equation_of_time);
    let edge = |direction: f64| {
        // The sun moves on until then: twice is enough.
        let mut at = noon;
        for _ in 0..3 {
            let sun = position(at);
            if let HourAngle::Degrees(angle) = hour_angle(latitude, sun.declination) {
                at = time(direction * angle, sun.equation_of_time);
            }
        }
        Timestamp(at.round() as i64)
    };
    match hour_angle(latitude, position(noon).declination) {
        HourAngle::Degrees(_) => Daylight::Between(edge(1.0), edge(-1.0)),
        HourAngle::NeverSets => Daylight::AllDay {
            noon: Timestamp(noon.round() as i64),
        },
        HourAngle::NeverRises => Daylight::Night,
    }
}

/// Returns when updates may begin on a day, where they may at all.
fn hours(solar: &SolarConfig, date: Date) -> Option<(Timestamp, Timestamp)> {
    match daylight(date, solar.latitude, solar.longitude) {
        Daylight::Between(rise, set) => {
            let ms =
                |time: std::time::Duration| i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
            let from = Timestamp(rise.0.saturating_add(ms(solar.after_sunrise())));
            let until = Timestamp(set.0.saturating_sub(ms(solar.before_sunset())));
            (from < until).then_some((from, until))
        }
        Daylight::AllDay { noon } => {
            let half = HALF_A_DAY_MS + OVERLAP_MS;
            Some((Timestamp(noon.0 - half), Timestamp(noon.0 + half)))
        }
        Daylight::Night => None,
    }
}

/// Tells whether updates may begin by daylight, and if not, when.
pub(super) fn opening(solar: &SolarConfig, now: Timestamp) -> Opening {
    let today = now.to_jiff().to_zoned(TimeZone::UTC).date();
    let days = (-1..=LOOK_AHEAD_DAYS).filter_map(|day| today.checked_add(day.days()).ok());
    let next = days
        .filter_map(|date| hours(solar, date))
        .find(|(_, until)| now < *until);
    match next {
        Some((from, _)) if from <= now => Opening::Open,
        next => Opening::Closed {
            opens_at: next.map(|(from, _)| from),
        },
    }
}

#[cfg(test)]
mod tests;
