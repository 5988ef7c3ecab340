//! Which bytes of an artifact a request asks for (RFC 9110, section 14).

use std::ops::Range;

/// What a `Range` header asks for, of something `size` bytes long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// Everything: there is no range, or one that may be passed over (several, another unit, nonsense).
    Whole,
    /// These bytes.
    Part(Range<u64>),
    /// Bytes that it doesn't have.
    Nothing,
}

impl Wanted {
    /// Reads a `Range` header.
    pub(crate) fn parse(text: &str, size: u64) -> Self {
        let Some(spec) = text.trim().strip_prefix("bytes=") else {
            return Self::Whole;
        };
        let Some((first, last)) = spec.split_once('-') else {
            return Self::Whole;
        };
        let (first, last) = (first.trim(), last.trim());
        if first.is_empty() {
            return match number(last) {
                Some(0) => Self::Nothing,
                Some(_) if size == 0 => Self::Nothing,
                Some(length) => Self::Part(size.saturating_sub(length)..size),
                None => Self::Whole,
            };
        }
        let Some(first) = number(first) else {
            return Self::Whole;
        };
        let end = match number(last) {
            Some(last) if last < first => return Self::Whole,
            Some(last) => last.saturating_add(1).min(size),
            None if last.is_empty() => size,
            None => return Self::Whole,
        };
        if first >= size {
            return Self::Nothing;
        }
        Self::Part(first..end)
    }
}

/// Reads digits and nothing else; a number too large for a length is the largest.
fn number(text: &str) -> Option<u64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::Wanted::{Nothing, Part, Whole};
    use super::*;

    #[test]
    fn ranges_of_ten_bytes() {
        let cases = [
            ("bytes=0-0", Part(0..1)),
            ("bytes=0-9", Part(0..10)),
            ("bytes=0-", Part(0..10)),
            ("bytes=3-5", Part(3..6)),
            ("bytes=9-100", Part(9..10)),
            ("bytes=9-99999999999999999999999", Part(9..10)),
            ("bytes=-3", Part(7..10)),
            ("bytes=-30", Part(0..10)),
            ("bytes= 1 - 2 ", Part(1..3)),
            ("bytes=10-", Nothing),
            ("bytes=10-12", Nothing),
            ("bytes=-0", Nothing),
            ("bytes=99999999999999999999999-", Nothing),
            ("bytes=5-3", Whole),
            ("bytes=0-1,3-4", Whole),
            ("bytes=-", Whole),
            ("bytes=+1-2", Whole),
            ("bytes=a-b", Whole),
            ("items=0-1", Whole),
            ("", Whole),
        ];
        for (text, wanted) in cases {
            assert_eq!(Wanted::parse(text, 10), wanted, "{text}");
        }
    }

    #[test]
    fn nothing_has_no_parts() {
        for text in ["bytes=0-", "bytes=-1", "bytes=0-0"] {
            assert_eq!(Wanted::parse(text, 0), Nothing, "{text}");
        }
    }
}
