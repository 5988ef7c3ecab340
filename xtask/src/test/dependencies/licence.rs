//! Licence expressions (SPDX 2.3, annex D, and the slash that Cargo took before): `(MIT OR Apache-2.0) AND Unicode-3.0`.

/// Tells whether licences that are allowed suffice; `None` where the text is no expression.
///
/// An exception (`WITH`) only gives more rights, so that it is passed over.
pub(super) fn allows(expression: &str, is_allowed: &dyn Fn(&str) -> bool) -> Option<bool> {
    let spaced = expression
        .replace('(', " ( ")
        .replace(')', " ) ")
        .replace('/', " OR ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut reader = Reader {
        words: &words,
        is_allowed,
    };
    let suffices = reader.any()?;
    reader.words.is_empty().then_some(suffices)
}

struct Reader<'a> {
    words: &'a [&'a str],
    is_allowed: &'a dyn Fn(&str) -> bool,
}

impl<'a> Reader<'a> {
    /// Reads `… OR …`, which binds least.
    fn any(&mut self) -> Option<bool> {
        let mut suffices = self.all()?;
        while self.take("OR") {
            suffices |= self.all()?;
        }
        Some(suffices)
    }

    fn all(&mut self) -> Option<bool> {
        let mut suffices = self.one()?;
        while self.take("AND") {
            suffices &= self.one()?;
        }
        Some(suffices)
    }

    fn one(&mut self) -> Option<bool> {
        if self.take("(") {
            let suffices = self.any()?;
            return self.take(")").then_some(suffices);
        }
        let name = self.name()?;
        if self.take("WITH") {
            self.name()?;
        }
        Some((self.is_allowed)(name))
    }

    fn name(&mut self) -> Option<&'a str> {
        let (first, rest) = self.words.split_first()?;
        let is_name = !["(", ")", "AND", "OR", "WITH"].contains(first);
        self.words = rest;
        is_name.then_some(first)
    }

    fn take(&mut self, word: &str) -> bool {
        match self.words.split_first() {
            Some((first, rest)) if *first == word => {
                self.words = rest;
                true
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_choice_suffices_and_every_part_is_needed() {
        let mit = |name: &str| name == "MIT";
        for (expression, expected) in [
            ("MIT", Some(true)),
            ("GPL-3.0", Some(false)),
            ("GPL-3.0 OR MIT", Some(true)),
            ("GPL-3.0/MIT", Some(true)),
            ("GPL-3.0 AND MIT", Some(false)),
            ("MIT AND MIT", Some(true)),
            ("MIT OR GPL-3.0 AND GPL-2.0", Some(true)),
            ("(MIT OR GPL-3.0) AND GPL-2.0", Some(false)),
            ("(MIT OR GPL-3.0) AND (GPL-2.0 OR MIT)", Some(true)),
            ("MIT WITH Some-exception", Some(true)),
            ("", None),
            ("MIT OR", None),
            ("(MIT", None),
            ("MIT MIT", None),
            ("OR MIT", None),
        ] {
            assert_eq!(allows(expression, &mit), expected, "{expression}");
        }
    }
}
