//! The packets of MQTT 3.1.1 that a login takes, as OASIS has them: CONNECT (3.1), CONNACK (3.2) and DISCONNECT (3.14).

/// Says goodbye.
pub(super) const DISCONNECT: [u8; 2] = [0xe0, 0];
/// Length of a CONNACK.
pub(super) const CONNACK_LEN: usize = 4;
const CONNECT: u8 = 0x10;
const CONNACK: u8 = 0x20;
const PROTOCOL: &[u8] = b"MQTT";
const LEVEL: u8 = 4;
const CLEAN_SESSION: u8 = 0x02;
const HAS_PASSWORD: u8 = 0x40;
const HAS_USER: u8 = 0x80;
/// Seconds after which a broker forgets a client that fell silent: long enough for any check.
const KEEP_ALIVE: u16 = 60;

/// Who a client says that it is.
#[derive(Clone, Copy)]
pub(super) struct Login<'a> {
    pub(super) client_id: &'a str,
    pub(super) user: Option<&'a str>,
    pub(super) password: Option<&'a [u8]>,
}

/// Returns a CONNECT packet; `None` where a field is longer than MQTT can say.
pub(super) fn connect(login: Login<'_>) -> Option<Vec<u8>> {
    let mut flags = CLEAN_SESSION;
    let mut payload = field(login.client_id.as_bytes())?;
    if let Some(user) = login.user {
        flags |= HAS_USER;
        payload.extend(field(user.as_bytes())?);
    }
    if let Some(password) = login.password {
        flags |= HAS_PASSWORD;
        payload.extend(field(password)?);
    }
    let mut body = field(PROTOCOL)?;
    body.extend([LEVEL, flags]);
    body.extend(KEEP_ALIVE.to_be_bytes());
    body.extend(payload);
    let mut packet = vec![CONNECT];
    packet.extend(remaining_length(body.len()));
    packet.extend(body);
    Some(packet)
}

/// Returns bytes with their length before them.
fn field(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut field = u16::try_from(bytes.len()).ok()?.to_be_bytes().to_vec();
    field.extend_from_slice(bytes);
    Some(field)
}

/// Writes a length seven bits at a time, the lowest first (2.2.3). Three fields of 64 KiB need three bytes at most.
fn remaining_length(mut len: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = (len & 0x7f) as u8;
        len >>= 7;
        if len == 0 {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}

/// Reads a broker's answer to CONNECT; the error says what came in its place.
pub(super) fn connack(answer: &[u8]) -> Result<(), String> {
    match answer {
        [CONNACK, 2, 0 | 1, 0] => Ok(()),
        [CONNACK, 2, 0 | 1, code] => Err(format!(
            "expected CONNACK with return code 0, but it is {code}: {}",
            meaning(*code)
        )),
        [] => Err("expected CONNACK, but the connection was closed".to_owned()),
        other => Err(format!(
            "expected CONNACK, but these bytes came: {}",
            hex::encode(other)
        )),
    }
}

fn meaning(code: u8) -> &'static str {
    match code {
        1 => "the broker doesn't speak MQTT 3.1.1",
        2 => "the broker doesn't take this `client_id`",
        3 => "the broker is not available",
        4 => "`user` or `password_file` is wrong",
        5 => "the broker doesn't let this client in; check `user` and `password_file`",
        _ => "MQTT 3.1.1 has no such code",
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_login_is_written_as_the_standard_has_it() {
        let plain = Login {
            client_id: "otter",
            user: None,
            password: None,
        };
        let packet = connect(plain).unwrap();
        assert_eq!(packet, b"\x10\x11\x00\x04MQTT\x04\x02\x00\x3c\x00\x05otter");
        let full = Login {
            user: Some("ann"),
            password: Some(b"pa"),
            ..plain
        };
        let packet = connect(full).unwrap();
        assert_eq!(
            packet,
            b"\x10\x1a\x00\x04MQTT\x04\xc2\x00\x3c\x00\x05otter\x00\x03ann\x00\x02pa"
        );
    }

    #[test]
    fn what_is_too_long_to_say_is_not_said() {
        let long = "x".repeat(65536);
        let login = |client_id| Login {
            client_id,
            user: None,
            password: None,
        };
        assert_eq!(connect(login(&long)), None);
        let packet = connect(login(&long[1..])).unwrap();
        assert_eq!(packet.get(..4), Some(&[0x10, 0x8b, 0x80, 0x04][..]));
    }

    #[test]
    fn answers_are_told_apart() {
        let table: [(&[u8], &str); 7] = [
            (&[0x20, 2, 0, 1], "3.1.1"),
            (&[0x20, 2, 0, 4], "is 4: `user`"),
            (&[0x20, 2, 0, 5], "is 5: the broker doesn't let"),
            (&[0x20, 2, 0, 77], "is 77: MQTT 3.1.1 has no such code"),
            (&[], "the connection was closed"),
            (&[0x20, 2], "these bytes came: 2002"),
            (b"HTTP", "these bytes came: 48545450"),
        ];
        for (answer, words) in table {
            let error = connack(answer).unwrap_err();
            assert!(error.contains(words), "{error}");
        }
        assert_eq!(connack(&[0x20, 2, 0, 0]), Ok(()));
    }

    proptest! {
        #[test]
        fn lengths_are_read_as_they_were_written(len in 0usize..268_435_456) {
            let bytes = remaining_length(len);
            prop_assert!(bytes.len() <= 4);
            let read = bytes.iter().rev().fold(0, |sum, byte| sum << 7 | usize::from(byte & 0x7f));
            prop_assert_eq!(read, len);
            let goes_on = bytes.iter().map(|byte| byte & 0x80 != 0).collect::<Vec<_>>();
            prop_assert_eq!(goes_on.iter().filter(|more| !**more).count(), 1);
            prop_assert_eq!(goes_on.last(), Some(&false));
        }

        #[test]
        fn no_answer_is_too_odd(answer in proptest::collection::vec(any::<u8>(), 0..=CONNACK_LEN)) {
            let is_welcome = matches!(answer.as_slice(), [0x20, 2, 0 | 1, 0]);
            prop_assert_eq!(connack(&answer).is_ok(), is_welcome);
        }
    }
}
