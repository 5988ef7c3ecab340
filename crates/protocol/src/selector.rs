//! Devices by what they say (metadata) and what is said of them (labels): `location=warehouse,function!=sensor`.
//!
//! Terms joined by commas, all of which must hold: `key=value`, `key!=value`, `key in (a, b)`, `key exists`,
//! `key not exists`, and `key<1.2.0`, `<=`, `>`, `>=`, which compare numbers where both sides are numbers, else semantic
//! versions where both are, else never hold. `model`, `version` and `group` are keys too. Labels go before metadata.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What a term asks of a value.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Test {
    Equals(String),
    Differs(String),
    OneOf(Vec<String>),
    Exists,
    Absent,
    Compares(Comparison, String),
}

/// How a term compares a value with its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Comparison {
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// One condition on one key.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Term {
    key: String,
    test: Test,
}

/// A condition on a device's labels and metadata; text as in the module's description.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Selector {
    terms: Vec<Term>,
}

/// A text is no selector.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the selector doesn't parse at column {column}: {expected}")]
pub struct SelectorError {
    /// Where, in characters from 1.
    pub column: usize,
    /// What should stand there.
    pub expected: &'static str,
}

impl Selector {
    /// Returns how many terms must hold.
    pub fn terms(&self) -> usize {
        self.terms.len()
    }

    /// Tells whether a device is taken in; `value_of` returns the value of a key, a label before metadata.
    pub fn matches<'a>(&self, value_of: impl Fn(&str) -> Option<&'a str>) -> bool {
        self.terms
            .iter()
            .all(|term| term.holds(value_of(&term.key)))
    }
}

impl Term {
    /// Tells whether the term holds for a value; one that is absent differs from every other.
    fn holds(&self, value: Option<&str>) -> bool {
        match (&self.test, value) {
            (Test::Exists, value) => value.is_some(),
            (Test::Absent, value) => value.is_none(),
            (Test::Differs(other), value) => value != Some(other),
            (_, None) => false,
            (Test::Equals(other), Some(value)) => value == other,
            (Test::OneOf(others), Some(value)) => others.iter().any(|other| other == value),
            (Test::Compares(comparison, other), Some(value)) => comparison.holds(value, other),
        }
    }
}

impl Comparison {
    fn holds(self, value: &str, other: &str) -> bool {
        let order = match (value.parse::<f64>(), other.parse::<f64>()) {
            (Ok(a), Ok(b)) => a.partial_cmp(&b),
            _ => match (semver::Version::parse(value), semver::Version::parse(other)) {
                (Ok(a), Ok(b)) => Some(a.cmp(&b)),
                _ => None,
            },
        };
        order.is_some_and(|order| match self {
            Self::Less => order.is_lt(),
            Self::LessOrEqual => order.is_le(),
            Self::Greater => order.is_gt(),
            Self::GreaterOrEqual => order.is_ge(),
        })
    }

    fn symbol(self) -> &'static str {
        match self {
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
        }
    }
}

/// Reads a selector from its start to its end.
struct Parser<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Parser<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or("")
    }

    fn skip_space(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start().len();
    }

    fn error(&self, expected: &'static str) -> SelectorError {
        let column = self.text.get(..self.at).unwrap_or("").chars().count() + 1;
        SelectorError { column, expected }
    }

    /// Takes a token where it stands next.
    fn take(&mut self, token: &str) -> bool {
        self.skip_space();
        let there = self.rest().starts_with(token);
        if there {
            self.at += token.len();
        }
        there
    }

    /// Takes a whole word where it stands next.
    fn take_word(&mut self, word: &str) -> bool {
        self.skip_space();
        let ends = |c: char| c.is_whitespace() || c == ',' || c == '(';
        let there = self
            .rest()
            .strip_prefix(word)
            .is_some_and(|rest| rest.chars().next().is_none_or(ends));
        if there {
            self.at += word.len();
        }
        there
    }

    /// Takes text up to one of `ends`, without the space around it.
    fn text_until(
        &mut self,
        ends: &[char],
        expected: &'static str,
    ) -> Result<String, SelectorError> {
        self.skip_space();
        let rest = self.rest();
        let found = rest
            .get(..rest.find(ends).unwrap_or(rest.len()))
            .unwrap_or("");
        let text = found.trim_end();
        if text.is_empty() {
            return Err(self.error(expected));
        }
        self.at += found.len();
        Ok(text.to_owned())
    }

    fn key(&mut self) -> Result<String, SelectorError> {
        self.skip_space();
        let rest = self.rest();
        let ends = |c: char| c.is_whitespace() || "=!<>,()".contains(c);
        let key = rest
            .get(..rest.find(ends).unwrap_or(rest.len()))
            .unwrap_or("");
        if key.is_empty() {
            return Err(self.error("a key, such as `location`"));
        }
        self.at += key.len();
        Ok(key.to_owned())
    }

    fn value(&mut self) -> Result<String, SelectorError> {
        self.text_until(&[',', '(', ')'], "a value")
    }

    fn list(&mut self) -> Result<Vec<String>, SelectorError> {
        if !self.take("(") {
            return Err(self.error("`(` and a list of values"));
        }
        let mut values = vec![self.value()?];
        while self.take(",") {
            values.push(self.value()?);
        }
        if self.take(")") {
            Ok(values)
        } else {
            Err(self.error("`,` or `)`"))
        }
    }

    fn term(&mut self) -> Result<Term, SelectorError> {
        let key = self.key()?;
        let test = if self.take("!=") {
            Test::Differs(self.value()?)
        } else if self.take("<=") {
            Test::Compares(Comparison::LessOrEqual, self.value()?)
        } else if self.take(">=") {
            Test::Compares(Comparison::GreaterOrEqual, self.value()?)
        } else if self.take("<") {
            Test::Compares(Comparison::Less, self.value()?)
        } else if self.take(">") {
            Test::Compares(Comparison::Greater, self.value()?)
        } else if self.take("=") {
            Test::Equals(self.value()?)
        } else if self.take_word("in") {
            Test::OneOf(self.list()?)
        } else if self.take_word("exists") {
            Test::Exists
        } else if self.take_word("not") && self.take_word("exists") {
            Test::Absent
        } else {
            return Err(self.error(
                "one of `=`, `!=`, `<`, `<=`, `>`, `>=`, `in (…)`, `exists`, `not exists`",
            ));
        };
        Ok(Term { key, test })
    }
}

impl FromStr for Selector {
    type Err = SelectorError;
    fn from_str(text: &str) -> Result<Self, SelectorError> {
        let mut parser = Parser { text, at: 0 };
        let mut terms = vec![parser.term()?];
        while parser.take(",") {
            terms.push(parser.term()?);
        }
        parser.skip_space();
        if parser.rest().is_empty() {
            Ok(Self { terms })
        } else {
            Err(parser.error("`,` or the end"))
        }
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, Term { key, test }) in self.terms.iter().enumerate() {
            if place > 0 {
                f.write_str(",")?;
            }
            match test {
                Test::Equals(value) => write!(f, "{key}={value}")?,
                Test::Differs(value) => write!(f, "{key}!={value}")?,
                Test::OneOf(values) => write!(f, "{key} in ({})", values.join(", "))?,
                Test::Exists => write!(f, "{key} exists")?,
                Test::Absent => write!(f, "{key} not exists")?,
                Test::Compares(comparison, value) => {
                    write!(f, "{key}{}{value}", comparison.symbol())?
                }
            }
        }
        Ok(())
    }
}

impl TryFrom<String> for Selector {
    type Error = SelectorError;
    fn try_from(text: String) -> Result<Self, SelectorError> {
        text.parse()
    }
}

impl From<Selector> for String {
    fn from(selector: Selector) -> Self {
        selector.to_string()
    }
}

#[cfg(feature = "openapi")]
impl utoipa::PartialSchema for Selector {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        utoipa::openapi::ObjectBuilder::new()
            .schema_type(utoipa::openapi::schema::Type::String)
            .examples(["location=warehouse,function!=sensor"])
            .into()
    }
}

#[cfg(feature = "openapi")]
impl utoipa::ToSchema for Selector {}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(selector: &str) -> bool {
        selector
            .parse::<Selector>()
            .unwrap()
            .matches(|key| match key {
                "location" => Some("warehouse 7"),
                "function" => Some("pump"),
                "firmware" => Some("1.10.0"),
                "slots" => Some("12"),
                _ => None,
            })
    }

    #[test]
    fn table() {
        for yes in [
            "location=warehouse 7",
            " function != sensor , location = warehouse 7 ",
            "function in (sensor, pump)",
            "function exists,missing not exists",
            "firmware>1.9.0",
            "firmware<=1.10.0",
            "slots>9",
            "missing!=x",
        ] {
            assert!(matches(yes), "{yes}");
        }
        for no in [
            "location=x",
            "missing=x",
            "function in (a)",
            "slots<9",
            "location>1",
            "missing exists",
        ] {
            assert!(!matches(no), "{no}");
        }
    }

    #[test]
    fn text_comes_back_and_errors_name_the_column() {
        for text in [
            "a=b,c!=d",
            "k in (a, b)",
            "k exists,l not exists",
            "v>=1.2.0",
        ] {
            assert_eq!(text.parse::<Selector>().unwrap().to_string(), text);
        }
        for (text, column) in [
            ("", 1),
            ("a", 2),
            ("a=", 3),
            ("a=b,", 5),
            ("a in b", 6),
            ("a in (b", 8),
            ("a=b)", 4),
            ("ä ? b", 3),
        ] {
            assert_eq!(
                text.parse::<Selector>().unwrap_err().column,
                column,
                "{text}"
            );
        }
    }
}
