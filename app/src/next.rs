//! Where to go after the login: only ever a page of this server.

/// Returns the address if it is a path of this server: it goes into a header, and must lead nowhere else.
#[cfg(any(feature = "ssr", test))]
pub(crate) fn safe_next(address: &str) -> Option<String> {
    let is_path =
        address.starts_with('/') && !address.starts_with("//") && !address.starts_with("/login");
    let is_plain = address
        .bytes()
        .all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    (is_path && is_plain && address.len() <= 2000).then(|| address.to_owned())
}

/// Writes a text as a value of an address's query.
pub(crate) fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b'/' => {
                encoded.push(char::from(byte))
            }
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

/// Writes a text as a segment of an address's path.
pub(crate) fn encode_segment(text: &str) -> String {
    // A segment that is all dots would lead elsewhere even when encoded; no device's page can be reached by such an id.
    encode(text).replace('/', "%2F")
}

/// Reads what [`encode`] wrote.
#[cfg(any(feature = "ssr", test))]
pub(crate) fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let digits =
            (byte == b'%').then(|| rest.clone().take(2).map(char::from).collect::<String>());
        match digits.and_then(|digits| u8::from_str_radix(&digits, 16).ok()) {
            Some(decoded) => {
                bytes.push(decoded);
                rest.nth(1);
            }
            None => bytes.push(byte),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Makes an address of a path and the pairs that have a value.
pub(crate) fn with_query(path: &str, pairs: &[(&str, &str)]) -> String {
    let query: Vec<String> = pairs
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(key, value)| format!("{key}={}", encode(value)))
        .collect();
    if query.is_empty() {
        path.to_owned()
    } else {
        format!("{path}?{}", query.join("&"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_paths_of_this_server_are_followed() {
        assert_eq!(
            safe_next("/devices?model=a%20b"),
            Some("/devices?model=a%20b".to_owned())
        );
        for bad in [
            "//evil.example",
            "https://evil.example",
            "/a\r\nSet-Cookie: x",
            "/a\\b",
            "/login?next=/",
            "",
            "/ä",
        ] {
            assert_eq!(safe_next(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_segment_stays_one() {
        assert_eq!(encode_segment("site/a b#1"), "site%2Fa%20b%231");
    }

    #[test]
    fn what_is_encoded_is_decoded() {
        for text in ["CI key", "50 % ~ä", "%", "a%2"] {
            assert_eq!(decode(&encode(text)), text);
        }
    }

    #[test]
    fn queries_are_encoded_and_hold_only_what_is_given() {
        assert_eq!(
            with_query("/devices", &[("search", "a&b"), ("model", "")]),
            "/devices?search=a%26b"
        );
        assert_eq!(with_query("/devices", &[("model", "")]), "/devices");
    }
}
