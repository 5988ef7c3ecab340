//! Windows, freezes and paces as the command line writes them.
//!
//! `--window "mon-fri 22:00-04:00 Europe/Helsinki"`, `--freeze 2026-12-20..2027-01-03`, `--pace 100/h`,
//! `--pace-growth 2x/50,max=1000`.

use std::str::FromStr;

use clap::Args;
use otter_protocol::rollout::{Growth, Pace};
use otter_protocol::window::{Freeze, Weekday, WeeklySpan, Window};

use crate::Failure;

/// When updates may start.
#[derive(Debug, Clone, PartialEq, Default, Args)]
pub struct WindowArgs {
    /// Weekly stretch in which updates may start, such as `mon-fri 22:00-04:00 Europe/Helsinki`, `sat,sun 00:00-24:00` or
    /// `01:00-05:00`; past midnight it goes on into the next day; without a zone, the device's own counts. May be repeated.
    #[arg(long = "window", value_name = "DAYS FROM-UNTIL ZONE")]
    spans: Vec<SpanArg>,
    /// Dates, both included, at which no update may start, such as `2026-12-20..2027-01-03` or `2026-12-24 holidays`. May
    /// be repeated.
    #[arg(long = "freeze", value_name = "DATE..DATE", value_parser = freeze)]
    freezes: Vec<Freeze>,
    /// Time zone of windows and freezes, such as Europe/Helsinki.
    #[arg(long, value_name = "ZONE")]
    zone: Option<String>,
}

impl WindowArgs {
    /// Returns the window; `None` where nothing was said of one.
    pub fn window(&self) -> Result<Option<Window>, Failure> {
        if *self == Self::default() {
            return Ok(None);
        }
        let mut zones = self.spans.iter().filter_map(|span| span.zone.as_ref());
        let zone = self.zone.as_ref().or_else(|| zones.next());
        if let Some((other, zone)) = zones.find(|other| Some(*other) != zone).zip(zone) {
            return Err(Failure::Usage(format!(
                "all of a window is in one time zone, not in {zone} and {other}"
            )));
        }
        let window = Window {
            zone: zone.cloned(),
            spans: self.spans.iter().map(|arg| arg.span.clone()).collect(),
            freezes: self.freezes.clone(),
        };
        window
            .check()
            .map_err(|error| Failure::Usage(error.to_string()))?;
        Ok(Some(window))
    }
}

/// A weekly stretch, with the zone that it names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpanArg {
    span: WeeklySpan,
    zone: Option<String>,
}

impl FromStr for SpanArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut words = text.split_whitespace().peekable();
        let days = match words.peek() {
            Some(word) if !word.contains(':') => words.next().map_or(Ok(vec![]), days)?,
            _ => Weekday::ALL.to_vec(),
        };
        let (start, end) = words
            .next()
            .and_then(|word| word.split_once('-'))
            .ok_or_else(|| {
                format!("`{text}` is no window; write `mon-fri 22:00-04:00 Europe/Helsinki`")
            })?;
        let span = WeeklySpan {
            days,
            start_minute: minute(start)?,
            end_minute: minute(end)?,
        };
        let zone = words.next().map(str::to_owned);
        match words.next() {
            Some(rest) => Err(format!(
                "`{rest}` is too much; a window is days, times and a zone"
            )),
            None => Ok(Self { span, zone }),
        }
    }
}

/// Reads `mon-fri`, `sat,sun`, `fri-mon` or `daily`.
fn days(text: &str) -> Result<Vec<Weekday>, String> {
    if text == "daily" {
        return Ok(Weekday::ALL.to_vec());
    }
    let mut all = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (day(first)?, day(last)?);
        let week = Weekday::ALL.iter().cycle();
        let mut from_first = week.skip_while(|day| **day != first);
        for day in from_first.by_ref().take(Weekday::ALL.len()) {
            all.push(*day);
            if *day == last {
                break;
            }
        }
    }
    all.sort_unstable();
    all.dedup();
    Ok(all)
}

fn day(text: &str) -> Result<Weekday, String> {
    const SHORT: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
    let text = text.trim().to_ascii_lowercase();
    let found = SHORT
        .iter()
        .zip(Weekday::ALL)
        .find(|(short, day)| text == **short || text == format!("{day:?}").to_ascii_lowercase());
    found
        .map(|(_, day)| day)
        .ok_or_else(|| format!("`{text}` is no day; write mon, tue, wed, thu, fri, sat or sun"))
}

/// Reads `22:00` as minutes after midnight; `24:00` is a day's end.
fn minute(text: &str) -> Result<u16, String> {
    let wrong = || format!("`{text}` is no time of day; write 22:00");
    let (hours, minutes) = text.split_once(':').ok_or_else(wrong)?;
    let (hours, minutes): (u16, u16) = (
        hours.parse().map_err(|_| wrong())?,
        minutes.parse().map_err(|_| wrong())?,
    );
    if hours > 24 || minutes > 59 || (hours == 24 && minutes > 0) {
        return Err(wrong());
    }
    Ok(hours * 60 + minutes)
}

/// Reads `2026-12-20..2027-01-03` or one day, and a reason after it.
fn freeze(text: &str) -> Result<Freeze, String> {
    let (dates, reason) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
    let (from, until) = dates.split_once("..").unwrap_or((dates, dates));
    let date = |text: &str| {
        text.parse()
            .map_err(|_| format!("`{text}` is no date; write a freeze as 2026-12-20..2027-01-03"))
    };
    Ok(Freeze {
        from: date(from)?,
        until: date(until)?,
        reason: reason.trim().to_owned(),
    })
}

/// Reads attempts in an hour: `100/h` or `100`.
pub fn per_hour(text: &str) -> Result<u32, String> {
    let number = text.trim().trim_end_matches("/h");
    number
        .parse()
        .map_err(|_| format!("`{text}` is no pace; write 100/h"))
}

/// How a pace grows: `2x/50,max=1000` doubles it each time that 50 attempts succeeded, up to 1000 an hour.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GrowthArg(Growth);

impl GrowthArg {
    /// Returns a pace that grows so.
    pub fn from(self, per_hour: u32) -> Pace {
        Pace {
            per_hour,
            growth: Some(self.0),
        }
    }
}

impl FromStr for GrowthArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no growth; write 2x/50,max=1000");
        let (steps, most) = text.split_once(",max=").ok_or_else(wrong)?;
        let (factor, successes) = steps.split_once("x/").ok_or_else(wrong)?;
        Ok(Self(Growth {
            factor: factor.trim().parse().map_err(|_| wrong())?,
            every_successes: successes.trim().parse().map_err(|_| wrong())?,
            max_per_hour: per_hour(most)?,
        }))
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        window: WindowArgs,
    }

    fn window(arguments: &[&str]) -> Result<Option<Window>, Failure> {
        let line = Line::try_parse_from(["window"].iter().chain(arguments));
        line.map_err(|error| Failure::Usage(error.to_string()))?
            .window
            .window()
    }

    #[test]
    fn a_window_reads_as_people_say_it() {
        let night = window(&["--window", "mon-fri 22:00-04:00 Europe/Helsinki"]);
        let night = night.unwrap().unwrap();
        assert_eq!(night.zone.as_deref(), Some("Europe/Helsinki"));
        let span = &night.spans[0];
        assert_eq!(span.days, Weekday::ALL[..5]);
        assert_eq!((span.start_minute, span.end_minute), (1320, 240));
        assert_eq!(window(&[]).unwrap(), None);
    }

    #[test]
    fn days_may_be_listed_left_out_and_go_round_the_week() {
        let days_of = |text: &str| text.parse::<SpanArg>().unwrap().span.days;
        assert_eq!(
            days_of("sun,sat 00:00-24:00"),
            [Weekday::Saturday, Weekday::Sunday]
        );
        assert_eq!(
            days_of("sat-mon 01:00-02:00"),
            [Weekday::Monday, Weekday::Saturday, Weekday::Sunday]
        );
        assert_eq!(days_of("01:00-02:00"), Weekday::ALL);
        assert_eq!(days_of("daily 01:00-02:00 UTC"), Weekday::ALL);
    }

    #[test]
    fn freezes_are_days_or_stretches_with_a_reason() {
        let freezes = window(&[
            "--freeze",
            "2026-12-20..2027-01-03 holidays",
            "--freeze",
            "2026-11-27",
            "--zone",
            "UTC",
        ]);
        let Window { zone, freezes, .. } = freezes.unwrap().unwrap();
        assert_eq!(zone.as_deref(), Some("UTC"));
        assert_eq!(freezes[0].until.to_string(), "2027-01-03");
        assert_eq!(freezes[0].reason, "holidays");
        assert_eq!(freezes[1].from, freezes[1].until);
    }

    #[test]
    fn what_makes_no_sense_says_what_would() {
        for (arguments, expected) in [
            (&["--window", "mon whenever"][..], "mon-fri 22:00-04:00"),
            (&["--window", "moon 1:00-2:00"], "is no day"),
            (&["--window", "mon 25:00-26:00"], "no time of day"),
            (&["--window", "mon 1:00-2:00 UTC at least"], "too much"),
            (&["--window", "mon 22:00-22:00"], "no length"),
            (&["--window", "mon 1:00-2:00 Nowhere/At"], "no IANA"),
            (&["--freeze", "christmas"], "is no date"),
            (&["--freeze", "2027-01-03..2026-12-20"], "ends before"),
            (
                &["--window", "mon 1:00-2:00 UTC", "--zone", "Asia/Tokyo"],
                "one time zone",
            ),
        ] {
            let error = window(arguments).unwrap_err();
            assert_eq!(error.exit_code(), 2);
            assert!(error.to_string().contains(expected), "{error}");
        }
    }

    #[test]
    fn paces_grow() {
        assert_eq!(per_hour("100/h"), Ok(100));
        assert_eq!(per_hour("7"), Ok(7));
        assert!(per_hour("fast").is_err());
        let pace = "2x/50,max=1000/h".parse::<GrowthArg>().unwrap().from(100);
        assert_eq!(pace.per_hour_after(50), 200.0);
        assert_eq!(pace.per_hour_after(5000), 1000.0);
        assert!("2x".parse::<GrowthArg>().is_err());
    }
}
