//! Which passwords will do: long ones that nobody tries first. No rule about kinds of characters, none about age.

use std::collections::HashSet;
use std::sync::LazyLock;

use crate::error::{Error, Result};

/// The 5,000 most common passwords of twelve characters and more, in lower case, from Mark Burnett's list of ten million
/// (public domain).
static COMMON: LazyLock<HashSet<&str>> =
    LazyLock::new(|| include_str!("common_passwords.txt").lines().collect());

/// Fewest characters; without a second factor, NIST asks for 15, with one for 8.
const FEWEST: usize = 12;

/// Most characters.
const MOST: usize = 512;

/// What somebody who wants in here would try with anything added.
const OUR_WORDS: [&str; 2] = ["otter", "password"];

/// Fewest characters that must be left beside the account's name and [`OUR_WORDS`].
const FEWEST_OTHERS: usize = 8;

/// Checks a password that is to be somebody's; the problem says what is wrong with it.
pub(crate) fn check_password(password: &str, name: &str) -> Result<()> {
    let length = password.chars().count();
    if !(FEWEST..=MOST).contains(&length) {
        return Err(Error::invalid(
            "password",
            format!("The password must have {FEWEST} to {MOST} characters, this one has {length}."),
        ));
    }
    let plain = password.to_lowercase();
    if COMMON.contains(plain.as_str()) || is_repetition(&plain) {
        return Err(Error::invalid(
            "password",
            "This is one of the passwords that are tried first. Choose another: some words that have nothing to do with \
             each other will do.",
        ));
    }
    let name = name.to_lowercase();
    let words = OUR_WORDS.into_iter().chain([name.as_str()]);
    let rest = words
        .filter(|word| !word.is_empty())
        .fold(plain.clone(), |rest, word| rest.replace(word, ""));
    if rest.chars().count() < FEWEST_OTHERS {
        return Err(Error::invalid(
            "password",
            "The password is little more than a name or a word that others would try here. Choose another.",
        ));
    }
    Ok(())
}

/// Tells whether a text is one short piece over and over: `aaaaaaaaaaaa`, `abcabcabcabc`.
fn is_repetition(text: &str) -> bool {
    let characters: Vec<char> = text.chars().collect();
    (1..=4).any(|period| {
        characters
            .iter()
            .zip(characters.iter().skip(period))
            .all(|(one, other)| one == other)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(password: &str) -> bool {
        let result = check_password(password, "Bob");
        if let Err(error) = &result {
            assert_eq!(error.to_problem().field.as_deref(), Some("password"));
        }
        result.is_err()
    }

    #[test]
    fn common_passwords_are_refused_however_they_are_written() {
        assert!(COMMON.len() >= 3000, "{}", COMMON.len());
        assert!(COMMON.iter().all(|word| word.chars().count() >= FEWEST));
        for common in [
            "qwerty123456",
            "QWERTY123456",
            "1qaz2wsx3edc",
            "aaaaaaaaaaaa",
            "abcabcabcabcab",
        ] {
            assert!(refused(common), "{common}");
        }
    }

    #[test]
    fn names_and_our_own_words_do_not_make_a_password() {
        for known in [
            "otterotter123",
            "OtterPassword1",
            "bobbobbob-bob",
            "Otter-Bob-2026",
        ] {
            assert!(refused(known), "{known}");
        }
        assert!(!refused("otters eat sea urchins"));
    }

    #[test]
    fn long_passwords_of_any_characters_will_do() {
        for good in [
            "correct horse battery",
            "kirschbaumblüte",
            "            x  y",
            "🦦🌊🐚🦪🪸🌿🐟🦀🐠🪨🌙⭐",
            "739105826447",
        ] {
            assert!(!refused(good), "{good}");
        }
        assert!(refused("elevenchars"));
        assert!(!refused(&"long words ".repeat(40)));
        assert!(refused(&"long words ".repeat(47)));
    }
}
