//! Where an answer ends.

/// The head of an answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// Length of the head, with the empty line.
    pub(crate) length: usize,
    /// Whether the status is from 200 to 299.
    pub(crate) is_good: bool,
    /// Length of the body.
    pub(crate) body: u64,
}

/// Reads a head; `None` while it isn't complete.
pub(crate) fn head(bytes: &[u8]) -> Option<Head> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let text = bytes.get(..end)?;
    let is_good = text.get(9) == Some(&b'2');
    let mut lengths = text.split(|byte| *byte == b'\n').filter_map(|line| {
        let (name, value) = line.split_at_checked(15)?;
        name.eq_ignore_ascii_case(b"content-length:")
            .then(|| std::str::from_utf8(value).ok()?.trim().parse().ok())?
    });
    Some(Head {
        length: end + 4,
        is_good,
        body: lengths.next().unwrap_or(0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_tells_status_and_length() {
        let bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\ndate: x\r\n\r\n{";
        let expected = Head {
            length: bytes.len() - 1,
            is_good: true,
            body: 12,
        };
        assert_eq!(head(bytes), Some(expected));
        assert_eq!(head(&bytes[..20]), None);
    }

    #[test]
    fn no_length_is_no_body_and_an_error_is_not_good() {
        let head = head(b"HTTP/1.1 401 Unauthorized\r\n\r\n").unwrap();
        assert_eq!((head.is_good, head.body), (false, 0));
    }
}
