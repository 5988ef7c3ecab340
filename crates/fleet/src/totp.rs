//! Time-based one-time passwords, RFC 6238: SHA-1, six digits, thirty seconds, as every authenticator has them.

use hmac::{Hmac, KeyInit as _, Mac as _};
use otter_protocol::Timestamp;
use sha1::Sha1;

/// How long one code is shown, in seconds.
const STEP_SEC: i64 = 30;

/// Steps before and after the present one that count: clocks differ, and people type.
const TOLERANCE: i64 = 1;

/// The alphabet of RFC 4648's base32.
const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// Finds the step that a code is of, unless that step or a later one was used already.
///
/// Every step that counts is tried, so that the time it takes tells nothing.
pub(crate) fn step_of(secret: &[u8], code: &str, now: Timestamp, used: i64) -> Option<i64> {
    let present = now.0.div_euclid(STEP_SEC * 1000);
    let mut found = None;
    for step in (present - TOLERANCE)..=(present + TOLERANCE) {
        let differs = code_at(secret, step)
            .bytes()
            .zip(code.bytes())
            .fold(code.len() != 6, |differs, (one, other)| {
                differs | (one != other)
            });
        if !differs && step > used {
            found = Some(step);
        }
    }
    found
}

/// Returns the code of a step (RFC 4226, section 5.3).
pub(crate) fn code_at(secret: &[u8], step: i64) -> String {
    // A key of any length is taken.
    let Ok(mut mac) = Hmac::<Sha1>::new_from_slice(secret) else {
        return String::new();
    };
    mac.update(&step.to_be_bytes());
    let digest = mac.finalize().into_bytes();
    let offset = usize::from(digest.last().copied().unwrap_or(0) & 0x0f);
    let number = digest
        .iter()
        .skip(offset)
        .take(4)
        .fold(0u32, |number, byte| number << 8 | u32::from(*byte));
    format!("{:06}", (number & 0x7fff_ffff) % 1_000_000)
}

/// Writes bytes in base32 without padding, as authenticators take secrets.
pub(crate) fn base32(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(5) * 8);
    let (mut held, mut bits) = (0u32, 0);
    for byte in bytes {
        held = held << 8 | u32::from(*byte);
        bits += 8;
        while bits >= 5 {
            bits -= 5;
            text.push(letter(held >> bits));
        }
    }
    if bits > 0 {
        text.push(letter(held << (5 - bits)));
    }
    text
}

fn letter(value: u32) -> char {
    let index = usize::try_from(value & 31).unwrap_or(0);
    ALPHABET.get(index).map_or('A', |byte| char::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6238's, appendix B.
    const SECRET: &[u8] = b"12345678901234567890";

    fn at_sec(sec: i64) -> Timestamp {
        Timestamp(sec * 1000)
    }

    #[test]
    fn codes_are_the_standards() {
        for (sec, code) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            assert_eq!(code_at(SECRET, sec / 30), code, "{sec}");
            assert_eq!(step_of(SECRET, code, at_sec(sec), 0), Some(sec / 30));
        }
    }

    #[test]
    fn a_code_counts_for_a_minute_and_a_half_and_once() {
        let step = 40_000_000;
        let code = code_at(SECRET, step);
        let found = |sec: i64, used| step_of(SECRET, &code, at_sec(sec), used);
        assert_eq!(found((step - 1) * 30, 0), Some(step));
        assert_eq!(found((step + 2) * 30 - 1, 0), Some(step));
        assert_eq!(found((step - 1) * 30 - 1, 0), None);
        assert_eq!(found((step + 2) * 30, 0), None);
        assert_eq!(found(step * 30, step), None, "a code that was used");
        assert_eq!(found(step * 30, step + 1), None, "a later one was used");
        for wrong in ["", "1", &code[..5], &format!("{code}0")] {
            assert_eq!(step_of(SECRET, wrong, at_sec(step * 30), 0), None);
        }
    }

    #[test]
    fn base32_is_the_standards() {
        // RFC 4648, section 10, without the padding.
        for (text, encoded) in [
            ("", ""),
            ("f", "MY"),
            ("fo", "MZXQ"),
            ("foo", "MZXW6"),
            ("foob", "MZXW6YQ"),
            ("fooba", "MZXW6YTB"),
            ("foobar", "MZXW6YTBOI"),
        ] {
            assert_eq!(base32(text.as_bytes()), encoded);
        }
    }
}
