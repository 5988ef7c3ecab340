//! The device's own policy: what it asks for beyond what the server allows.

use std::path::PathBuf;
use std::time::Duration;

use jiff::civil::Date;
use otter_protocol::Share;
use otter_protocol::window::{Freeze, Weekday, WeeklySpan, Window};
use serde::{Deserialize, Deserializer};

use super::seconds::Seconds;

/// Most attempts that a history may hold: its file is read whole.
const LONGEST_HISTORY: usize = 500;

/// What the device asks for before an update begins, beyond what the server allows.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PolicyConfig {
    /// Least charge of the battery, unless the device runs on mains.
    pub min_battery_percent: Option<u8>,
    /// Only on mains.
    pub needs_mains: bool,
    /// Most crashes of the service since the device booted, or its version was committed.
    pub max_crashes: Option<u32>,
    /// The device takes part where its fixed cohort is below this share.
    pub cohort_share: Share,
    /// When updates may begin.
    #[serde(deserialize_with = "windows")]
    pub windows: Option<Window>,
    /// Only in daylight.
    pub solar: Option<SolarConfig>,
    look_interval_sec: Seconds,
    report_interval_sec: Seconds,
    /// How many ended attempts are remembered.
    pub history_limit: usize,
    /// Where the kernel shows batteries and chargers.
    pub power_supply: PathBuf,
    /// Where the kernel shows the watchdog.
    pub watchdog: PathBuf,
}

impl Default for PolicyConfig {
    fn default() -> Self {
        Self {
            min_battery_percent: None,
            needs_mains: false,
            max_crashes: None,
            cohort_share: Share::ALL,
            windows: None,
            solar: None,
            look_interval_sec: Seconds::of(60),
            report_interval_sec: Seconds::of(600),
            history_limit: 100,
            power_supply: PathBuf::from("/sys/class/power_supply"),
            watchdog: PathBuf::from("/sys/class/watchdog/watchdog0"),
        }
    }
}

/// Daylight at a place, less a time after sunrise and before sunset.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SolarConfig {
    /// Degrees, north positive.
    pub latitude: f64,
    /// Degrees, east positive.
    pub longitude: f64,
    #[serde(default = "nothing")]
    after_sunrise_sec: Seconds,
    #[serde(default = "nothing")]
    before_sunset_sec: Seconds,
}

fn nothing() -> Seconds {
    Seconds::of(0)
}

impl SolarConfig {
    /// Takes a place, and the times that are left out of its daylight.
    pub fn new(latitude: f64, longitude: f64, morning: Duration, evening: Duration) -> Self {
        Self {
            latitude,
            longitude,
            after_sunrise_sec: Seconds(morning),
            before_sunset_sec: Seconds(evening),
        }
    }

    /// Returns the time after sunrise that is left out.
    pub fn after_sunrise(&self) -> Duration {
        self.after_sunrise_sec.get()
    }

    /// Returns the time before sunset that is left out.
    pub fn before_sunset(&self) -> Duration {
        self.before_sunset_sec.get()
    }

    fn check(&self) -> Result<(), String> {
        if !(-90.0..=90.0).contains(&self.latitude) {
            return Err("`policy.solar.latitude` goes from -90 to 90".to_owned());
        }
        if !(-180.0..=180.0).contains(&self.longitude) {
            return Err("`policy.solar.longitude` goes from -180 to 180".to_owned());
        }
        Ok(())
    }
}

impl PolicyConfig {
    /// Returns how long to wait before circumstances are looked at again.
    pub fn look_interval(&self) -> Duration {
        self.look_interval_sec.get()
    }

    /// Returns how often the server is told anew that an attempt waits.
    pub fn report_interval(&self) -> Duration {
        self.report_interval_sec.get()
    }

    pub(super) fn paths(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        [&mut self.power_supply, &mut self.watchdog].into_iter()
    }

    pub(super) fn check(&self) -> Result<(), String> {
        if self
            .min_battery_percent
            .is_some_and(|percent| percent > 100)
        {
            return Err("`policy.min_battery_percent` goes from 0 to 100".to_owned());
        }
        if !(1..=LONGEST_HISTORY).contains(&self.history_limit) {
            return Err(format!(
                "`policy.history_limit` goes from 1 to {LONGEST_HISTORY}"
            ));
        }
        if self.look_interval().is_zero() || self.report_interval().is_zero() {
            return Err(
                "`policy.look_interval_sec` and `policy.report_interval_sec` must be more than 0"
                    .to_owned(),
            );
        }
        self.solar.as_ref().map_or(Ok(()), SolarConfig::check)
    }
}

/// A window as a person writes it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WindowsConfig {
    #[serde(default)]
    zone: Option<String>,
    #[serde(default)]
    span: Vec<SpanConfig>,
    #[serde(default)]
    freeze: Vec<FreezeConfig>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SpanConfig {
    #[serde(default = "every_day")]
    days: Vec<Weekday>,
    from: String,
    until: String,
}

fn every_day() -> Vec<Weekday> {
    Weekday::ALL.to_vec()
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FreezeConfig {
    from: Date,
    until: Date,
    #[serde(default)]
    reason: String,
}

fn windows<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Window>, D::Error> {
    let written = WindowsConfig::deserialize(deserializer)?;
    window(written).map(Some).map_err(serde::de::Error::custom)
}

fn window(written: WindowsConfig) -> Result<Window, String> {
    let span = |span: SpanConfig| {
        Ok::<_, String>(WeeklySpan {
            days: span.days,
            start_minute: minute(&span.from)?,
            end_minute: minute(&span.until)?,
        })
    };
    let freeze = |freeze: FreezeConfig| Freeze {
        from: freeze.from,
        until: freeze.until,
        reason: freeze.reason,
    };
    let window = Window {
        zone: written.zone,
        spans: written
            .span
            .into_iter()
            .map(span)
            .collect::<Result<_, _>>()?,
        freezes: written.freeze.into_iter().map(freeze).collect(),
    };
    window.check().map_err(|error| error.to_string())?;
    Ok(window)
}

/// Reads a time of day as minutes after midnight; `24:00` is the day's end.
fn minute(text: &str) -> Result<u16, String> {
    let minute = || {
        let (hour, minute) = text.split_once(':')?;
        let is_plain = |part: &str| part.len() == 2 && part.bytes().all(|b| b.is_ascii_digit());
        let both = is_plain(hour) && is_plain(minute);
        let (hour, minute) = (hour.parse::<u16>().ok()?, minute.parse::<u16>().ok()?);
        let total = hour * 60 + minute;
        (both && minute < 60 && total <= 1440).then_some(total)
    };
    minute().ok_or_else(|| format!("`{text}` is no time of day such as 22:30; a day ends at 24:00"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<PolicyConfig, String> {
        let policy: PolicyConfig = toml::from_str(text).map_err(|error| error.to_string())?;
        policy.check()?;
        Ok(policy)
    }

    #[test]
    fn without_a_word_nothing_is_asked_for() {
        let policy = parse("").unwrap();
        assert_eq!(policy.cohort_share, Share::ALL);
        assert_eq!((policy.windows, policy.solar), (None, None));
        assert_eq!(
            (policy.min_battery_percent, policy.needs_mains),
            (None, false)
        );
        assert_eq!(policy.history_limit, 100);
    }

    #[test]
    fn every_line_of_the_example_is_a_key() {
        let example = include_str!("../../otter-agent.example.toml");
        let (_, section) = example.split_once("[policy]\n").unwrap();
        let (section, _) = section.split_once("# [watchdog]\n").unwrap();
        let is_key = |line: &str| line.contains(" = ") || line.starts_with('[');
        let keys: Vec<&str> = section
            .lines()
            .filter_map(|line| line.strip_prefix("# "))
            .filter(|line| is_key(line))
            .collect();
        let text = keys.join("\n").replace("[policy.", "[");
        let policy = parse(&text).unwrap();
        assert_eq!(policy.min_battery_percent, Some(30));
        assert_eq!(policy.windows.as_ref().unwrap().spans.len(), 2);
        assert_eq!(
            policy.solar,
            Some(SolarConfig::new(
                60.17,
                24.94,
                Duration::ZERO,
                Duration::ZERO
            ))
        );
        let defaults = PolicyConfig::default();
        assert_eq!(policy.look_interval(), defaults.look_interval());
        assert_eq!(policy.report_interval(), defaults.report_interval());
        assert_eq!(policy.history_limit, defaults.history_limit);
        assert_eq!(
            (policy.power_supply, policy.watchdog),
            (defaults.power_supply, defaults.watchdog)
        );
    }

    #[test]
    fn windows_are_read_as_people_write_them() {
        let text = "[windows]\nzone = \"Europe/Helsinki\"\n\
            span = [{ days = [\"friday\"], from = \"22:30\", until = \"05:00\" }, { from = \"00:00\", until = \"24:00\" }]\n\
            freeze = [{ from = \"2026-12-20\", until = \"2027-01-06\", reason = \"Christmas\" }]\n";
        let window = parse(text).unwrap().windows.unwrap();
        assert_eq!(window.zone.as_deref(), Some("Europe/Helsinki"));
        let minutes: Vec<_> = window
            .spans
            .iter()
            .map(|span| (span.days.len(), span.start_minute, span.end_minute))
            .collect();
        assert_eq!(minutes, [(1, 1350, 300), (7, 0, 1440)]);
        assert_eq!(window.freezes[0].until, jiff::civil::date(2027, 1, 6));
    }

    #[test]
    fn nonsense_is_refused_in_words() {
        let cases = [
            ("min_battery_percent = 101", "0 to 100"),
            ("cohort_share = 101", "percentage"),
            ("history_limit = 0", "1 to 500"),
            ("history_limit = 501", "1 to 500"),
            ("look_interval_sec = 0", "more than 0"),
            ("colour = 1", "unknown field `colour`"),
            ("[solar]\nlatitude = 91\nlongitude = 0", "-90 to 90"),
            ("[solar]\nlatitude = nan\nlongitude = 0", "-90 to 90"),
            ("[solar]\nlatitude = 0\nlongitude = -181", "-180 to 180"),
            (
                "[solar]\nlatitude = 0\nlongitude = 0\nheight = 1",
                "unknown field `height`",
            ),
            ("[windows]\nzone = \"Mars\"", "IANA"),
            ("[windows]\ncolour = 1", "unknown field `colour`"),
            (
                "[windows]\nspan = [{ from = \"8:00\", until = \"09:00\" }]",
                "`8:00` is no time of day",
            ),
            (
                "[windows]\nspan = [{ from = \"08:60\", until = \"09:00\" }]",
                "no time of day",
            ),
            (
                "[windows]\nspan = [{ from = \"24:00\", until = \"09:00\" }]",
                "0 to 1439",
            ),
            (
                "[windows]\nspan = [{ from = \"08:00\", until = \"08:00\" }]",
                "no length",
            ),
            (
                "[windows]\nspan = [{ days = [], from = \"08:00\", until = \"09:00\" }]",
                "no day",
            ),
            (
                "[windows]\nfreeze = [{ from = \"2026-02-02\", until = \"2026-02-01\" }]",
                "ends before",
            ),
        ];
        for (text, words) in cases {
            let error = parse(text).unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
        }
    }
}
