//! Which keys mean something: the palette's, and letters one after another, which never count where one types.

/// How long the second of two keys is waited for, in milliseconds.
const PATIENCE_MS: f64 = 1500.0;

/// A key that was pressed.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Stroke {
    /// The key, as the browser names it.
    pub(crate) key: String,
    /// With Ctrl or ⌘.
    pub(crate) with_command: bool,
    /// With Alt.
    pub(crate) with_alt: bool,
    /// Where one types or chooses.
    pub(crate) in_field: bool,
    /// While a dialog is open.
    pub(crate) in_dialog: bool,
    /// When, in milliseconds since some beginning.
    pub(crate) at_ms: f64,
}

/// What is asked for by keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Asked {
    /// The palette.
    Palette,
    /// What these keys lead to.
    Keys(String),
}

/// Listens to keys, one after another.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Ear {
    /// Whether single keys count; the palette's always do.
    pub(crate) hears_letters: bool,
    first: Option<(String, f64)>,
}

impl Default for Ear {
    fn default() -> Self {
        Self {
            hears_letters: true,
            first: None,
        }
    }
}

impl Ear {
    /// Returns what a key asks for, together with the one before it.
    pub(crate) fn hear(&mut self, stroke: &Stroke) -> Option<Asked> {
        let first = self.first.take();
        if stroke.with_command && !stroke.with_alt && stroke.key.eq_ignore_ascii_case("k") {
            return (!stroke.in_dialog).then_some(Asked::Palette);
        }
        let is_letter = stroke.key.chars().count() == 1;
        let is_plain = !stroke.with_command && !stroke.with_alt;
        if !(self.hears_letters && is_letter && is_plain) || stroke.in_field || stroke.in_dialog {
            return None;
        }
        if let Some((first, at_ms)) = first
            && stroke.at_ms - at_ms <= PATIENCE_MS
        {
            return Some(Asked::Keys(format!("{first}{}", stroke.key)));
        }
        match stroke.key.as_str() {
            "?" => Some(Asked::Keys("?".to_owned())),
            "/" => Some(Asked::Palette),
            "g" | "n" => {
                self.first = Some((stroke.key.clone(), stroke.at_ms));
                None
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stroke(key: &str, at_ms: f64) -> Stroke {
        Stroke {
            key: key.to_owned(),
            with_command: false,
            with_alt: false,
            in_field: false,
            in_dialog: false,
            at_ms,
        }
    }

    #[test]
    fn two_letters_lead_somewhere_unless_the_second_comes_late() {
        let mut ear = Ear::default();
        assert_eq!(ear.hear(&stroke("g", 0.0)), None);
        assert_eq!(
            ear.hear(&stroke("d", 900.0)),
            Some(Asked::Keys("gd".to_owned()))
        );
        assert_eq!(ear.hear(&stroke("d", 1000.0)), None);
        assert_eq!(ear.hear(&stroke("g", 2000.0)), None);
        assert_eq!(ear.hear(&stroke("d", 4000.0)), None);
    }

    #[test]
    fn letters_never_count_in_a_field_a_dialog_or_with_other_keys() {
        let changes: [fn(&mut Stroke); 4] = [
            |it| it.in_field = true,
            |it| it.in_dialog = true,
            |it| it.with_alt = true,
            |it| it.with_command = true,
        ];
        for change in changes {
            for keys in [["g", "d"], ["?", "?"], ["/", "/"]] {
                let mut ear = Ear::default();
                for key in keys {
                    let mut stroke = stroke(key, 0.0);
                    change(&mut stroke);
                    assert_eq!(ear.hear(&stroke), None, "{stroke:?}");
                }
            }
        }
    }

    #[test]
    fn the_palette_comes_from_fields_too_and_with_letters_off() {
        let mut ear = Ear {
            hears_letters: false,
            ..Ear::default()
        };
        let palette = Stroke {
            with_command: true,
            in_field: true,
            ..stroke("K", 0.0)
        };
        assert_eq!(ear.hear(&palette), Some(Asked::Palette));
        assert_eq!(ear.hear(&stroke("?", 0.0)), None);
    }

    #[test]
    fn another_key_between_two_letters_parts_them() {
        let mut ear = Ear::default();
        assert_eq!(ear.hear(&stroke("g", 0.0)), None);
        assert_eq!(ear.hear(&stroke("Escape", 10.0)), None);
        assert_eq!(ear.hear(&stroke("d", 20.0)), None);
    }
}
