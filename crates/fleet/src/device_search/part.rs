//! A part of an id, as each database is asked for it.

use sea_orm::sea_query::extension::postgres::PgExpr;
use sea_orm::sea_query::{Expr, ExprTrait, Func, LikeExpr};

/// Returns the least text behind all that begin with this one, as the database orders ids: by their bytes.
pub(crate) fn behind(part: &str) -> Option<String> {
    let mut text: Vec<char> = part.chars().collect();
    while let Some(last) = text.pop() {
        // The range passes over what is no character.
        if let Some(next) = (last..=char::MAX).nth(1) {
            text.push(next);
            return Some(text.into_iter().collect());
        }
    }
    None
}

/// Matches a part of the id, whatever its case. On PostgreSQL there are two ways to say it: one for the index of trigrams, and
/// one for walking, which is quicker and which the index can't be taken for.
pub(super) fn has_part(part: &str, postgres: bool, rare: bool) -> Expr {
    let id = Expr::col("id");
    match (postgres, rare) {
        // The backslash is what PostgreSQL takes without being told.
        (true, true) => id.ilike(pattern(part)),
        (true, false) => Expr::from(Func::lower(id)).like(pattern(&part.to_ascii_lowercase())),
        (false, _) => id.like(LikeExpr::new(pattern(part)).escape('\\')),
    }
}

/// Matches what SQLite's index of trigrams has for a part.
pub(super) fn in_trigrams(part: &str) -> Expr {
    let sql = "id IN (SELECT id FROM device_ids WHERE device_ids MATCH ?)";
    Expr::cust_with_values(sql, [quoted(part)])
}

/// Returns a pattern that has a part anywhere; no character means anything else.
pub(crate) fn pattern(part: &str) -> String {
    let mut pattern = String::from("%");
    for character in part.chars() {
        if matches!(character, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern.push('%');
    pattern
}

pub(super) fn quoted(part: &str) -> String {
    format!("\"{}\"", part.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_behind_a_beginning_is_next_to_it() {
        assert_eq!(behind("sim-9").as_deref(), Some("sim-:"));
        assert_eq!(behind("a\u{d7ff}").as_deref(), Some("a\u{e000}"));
        assert_eq!(behind("a\u{10ffff}").as_deref(), Some("b"));
        assert_eq!(behind("\u{10ffff}"), None);
    }

    #[test]
    fn characters_of_patterns_mean_themselves() {
        assert_eq!(pattern("a_%\\"), "%a\\_\\%\\\\%");
        assert_eq!(quoted("a\"b"), "\"a\"\"b\"");
    }
}
