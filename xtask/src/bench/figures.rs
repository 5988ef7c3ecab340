//! What was measured, and what it should be.

use serde_json::{Map, Value, json};

use super::large::Named;

/// The most that starting a rollout may take in a large fleet, beside one of ten devices: so many times as long, and so many
/// milliseconds more.
const START: (f64, f64) = (3.0, 50.0);
/// The most that other figures of a large fleet may be.
const MOST: [(&str, f64); 5] = [
    ("preview_ms", 5000.0),
    ("device_page_ms", 100.0),
    ("overview_ms", 300.0),
    ("explain_ms", 50.0),
    ("server_rss_mib", 1024.0),
];

/// The most memory that an agent may need while it installs an image.
const AGENT_RSS_MIB: f64 = 12.0;

/// What was measured.
#[derive(Debug, Clone)]
pub(super) struct Figures {
    /// Requests a second that a bare axum handler answers with 204.
    pub(super) bare_handler_per_s: f64,
    /// Check-ins a second of devices with nothing to do.
    pub(super) idle_check_ins_per_s: f64,
    /// MiB a second of an artifact's download.
    pub(super) artifact_mib_per_s: f64,
    /// What the agent needs of a device, by name.
    pub(super) agent: Named,
    /// Figures of large fleets, by name.
    pub(super) large: Named,
}

impl Figures {
    /// The server's part of what the bare handler does.
    pub(super) fn share(&self) -> f64 {
        if self.bare_handler_per_s > 0.0 {
            self.idle_check_ins_per_s / self.bare_handler_per_s
        } else {
            0.0
        }
    }

    /// One flat object.
    pub(super) fn to_json(&self) -> Value {
        let mut object = Map::from_iter([
            (
                "bare_handler_per_s".to_owned(),
                json!(self.bare_handler_per_s.round()),
            ),
            (
                "idle_check_ins_per_s".to_owned(),
                json!(self.idle_check_ins_per_s.round()),
            ),
            (
                "artifact_mib_per_s".to_owned(),
                json!(self.artifact_mib_per_s.round()),
            ),
        ]);
        for (name, value) in self.agent.iter().chain(&self.large) {
            object.insert(name.clone(), json!((value * 10.0).round() / 10.0));
        }
        Value::Object(object)
    }

    /// A line for each.
    pub(super) fn text(&self) -> String {
        let mut text = format!(
            "bare handler     {:>8.0} a second\nidle check-ins   {:>8.0} a second, {:.0} % of that\nartifact         {:>8.0} MiB a second",
            self.bare_handler_per_s,
            self.idle_check_ins_per_s,
            self.share() * 100.0,
            self.artifact_mib_per_s
        );
        for (name, value) in self.agent.iter().chain(&self.large) {
            text += &format!("\n{name:<40} {value:>10.1}");
        }
        text
    }

    /// Says of each figure that is not what it should be, why.
    pub(super) fn breaches(&self, least_share: f64) -> Vec<String> {
        let mut breaches = Vec::new();
        if self.share() < least_share {
            breaches.push(format!(
                "check-ins reach {:.0} % of the bare handler, and should reach {:.0} %",
                self.share() * 100.0,
                least_share * 100.0
            ));
        }
        let resident = self.agent.iter().find(|(name, _)| name == "agent_rss_mib");
        if let Some((name, value)) = resident.filter(|(_, value)| *value > AGENT_RSS_MIB) {
            breaches.push(format!(
                "{name} is {value:.1}, and should be {AGENT_RSS_MIB:.1} at most"
            ));
        }
        for suffix in ["", "_postgres"] {
            let of = |name: &str| self.large_figure(&format!("{name}{suffix}"));
            // What was measured at all on this database begins with this one.
            let Some(few) = of("rollout_start_ms_at_10_devices") else {
                continue;
            };
            let start = ("rollout_start_ms", few * START.0 + START.1);
            for (name, most) in MOST.into_iter().chain([start]) {
                match of(name) {
                    Some(value) if value <= most => {}
                    Some(value) => breaches.push(format!(
                        "{name}{suffix} is {value:.1}, and should be {most:.1} at most"
                    )),
                    None => breaches.push(format!("{name}{suffix} could not be measured")),
                }
            }
        }
        breaches
    }

    fn large_figure(&self, name: &str) -> Option<f64> {
        let found = self.large.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| *value)
    }
}

/// The middle of some figures; 0 of none.
pub(super) fn median(figures: &mut [f64]) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(large: &[(&str, f64)]) -> Figures {
        Figures {
            bare_handler_per_s: 1000.4,
            idle_check_ins_per_s: 700.0,
            artifact_mib_per_s: 900.0,
            agent: vec![("agent_rss_mib".to_owned(), 9.9)],
            large: large
                .iter()
                .map(|(name, value)| ((*name).to_owned(), *value))
                .collect(),
        }
    }

    #[test]
    fn one_slow_round_does_not_move_the_median() {
        assert!((median(&mut [5.0, 1.0, 6.0]) - 5.0).abs() < f64::EPSILON);
        assert!(median(&mut []).abs() < f64::EPSILON);
    }

    #[test]
    fn the_object_is_flat() {
        let figures = figures(&[("explain_ms_postgres", 1.26)]);
        let json = figures.to_json();
        assert!(json.as_object().unwrap().values().all(Value::is_number));
        assert_eq!(json["explain_ms_postgres"], 1.3);
        assert!(figures.text().contains("70 % of that"));
    }

    #[test]
    fn figures_over_their_limits_are_told_and_missing_ones_too() {
        assert!(figures(&[]).breaches(0.6).is_empty());
        assert_eq!(figures(&[]).breaches(0.8).len(), 1);
        let mut large = vec![
            ("rollout_start_ms_at_10_devices", 10.0),
            ("rollout_start_ms", 80.0),
            ("preview_ms", 5000.0),
            ("device_page_ms", 100.0),
            ("overview_ms", 300.0),
            ("explain_ms", 50.0),
            ("server_rss_mib", 1024.0),
        ];
        assert!(figures(&large).breaches(0.6).is_empty());
        large[1].1 = 80.1;
        large[2].0 = "something else";
        let breaches = figures(&large).breaches(0.6).join("\n");
        assert!(breaches.contains("rollout_start_ms is 80.1"), "{breaches}");
        assert!(
            breaches.contains("preview_ms could not be measured"),
            "{breaches}"
        );
        assert_eq!(breaches.lines().count(), 2);
        let other = figures(&[("rollout_start_ms_at_10_devices_postgres", 1.0)]);
        assert_eq!(other.breaches(0.6).len(), 6);
    }
}
