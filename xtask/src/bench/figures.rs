//! What was measured.

use serde_json::{Value, json};

/// What was measured.
#[derive(Debug, Clone, Copy)]
pub(super) struct Figures {
    /// Requests a second that a bare axum handler answers with 204.
    pub(super) bare_handler_per_s: f64,
    /// Check-ins a second of devices with nothing to do.
    pub(super) idle_check_ins_per_s: f64,
    /// MiB a second of an artifact's download.
    pub(super) artifact_mib_per_s: f64,
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
    pub(super) fn to_json(self) -> Value {
        json!({
            "bare_handler_per_s": self.bare_handler_per_s.round(),
            "idle_check_ins_per_s": self.idle_check_ins_per_s.round(),
            "artifact_mib_per_s": self.artifact_mib_per_s.round(),
        })
    }

    /// A line for each.
    pub(super) fn text(&self) -> String {
        format!(
            "bare handler     {:>8.0} a second\nidle check-ins   {:>8.0} a second, {:.0} % of that\nartifact         {:>8.0} MiB a second",
            self.bare_handler_per_s,
            self.idle_check_ins_per_s,
            self.share() * 100.0,
            self.artifact_mib_per_s
        )
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

    #[test]
    fn one_slow_round_does_not_move_the_median() {
        assert!((median(&mut [5.0, 1.0, 6.0]) - 5.0).abs() < f64::EPSILON);
        assert!(median(&mut []).abs() < f64::EPSILON);
    }

    #[test]
    fn the_object_is_flat() {
        let figures = Figures {
            bare_handler_per_s: 1000.4,
            idle_check_ins_per_s: 700.0,
            artifact_mib_per_s: 900.0,
        };
        let json = figures.to_json();
        assert!(json.as_object().unwrap().values().all(Value::is_number));
        assert!(figures.text().contains("70 % of that"));
    }
}
