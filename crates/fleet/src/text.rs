//! What texts from people must be like.

use otter_protocol::admin::Role;

use crate::error::{Error, Result};

/// Checks a name that people read: printable, no space at its ends, 1 to `most` characters.
pub(crate) fn check_name(field: &str, name: &str, most: usize) -> Result<()> {
    let length = name.chars().count();
    if name.trim().is_empty() {
        return Err(Error::invalid(field, "The name must not be empty."));
    }
    if length > most {
        return Err(Error::invalid(
            field,
            format!("The name must have at most {most} characters, this one has {length}."),
        ));
    }
    if name.trim() != name || name.chars().any(char::is_control) {
        return Err(Error::invalid(
            field,
            "The name must have no control characters and no space at its ends.",
        ));
    }
    Ok(())
}

/// Checks a longer text: at most `most` bytes, and nothing that PostgreSQL can't keep.
pub(crate) fn check_text(field: &str, text: &str, most: usize) -> Result<()> {
    if text.len() > most {
        let got = text.len();
        return Err(Error::invalid(
            field,
            format!("The text must have at most {most} bytes, this one has {got}."),
        ));
    }
    if text.contains('\0') {
        return Err(Error::invalid(
            field,
            "The text must not hold the character NUL.",
        ));
    }
    Ok(())
}

/// Reads a role as the database keeps it.
pub(crate) fn role_of(text: &str) -> Result<Role> {
    Role::named(text).ok_or_else(|| Error::Corrupt(format!("the role `{text}`")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_and_printable() {
        assert!(check_name("name", "Änne", 4).is_ok());
        for bad in ["", " ", "Bernd", "a\n", " a", "a\0b"] {
            assert!(check_name("name", bad, 4).is_err(), "{bad:?}");
        }
        assert!(check_text("notes", "a\nb", 3).is_ok());
        assert!(check_text("notes", "a\0", 3).is_err());
        assert!(check_text("notes", "abcd", 3).is_err());
    }
}
