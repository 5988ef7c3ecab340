//! The least of an HTTP client: one GET or POST, its answer read to the end.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, Result};

/// What a server on this machine answered.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    /// The status.
    pub(crate) status: u16,
    /// The body, whole.
    pub(crate) body: Vec<u8>,
}

/// Asks 127.0.0.1 for a path; `limit` holds for connecting and for each read.
pub(crate) fn get(port: u16, path: &str, token: Option<&str>, limit: Duration) -> Result<Answer> {
    send("GET", port, path, token, "", limit)
}

/// Posts JSON to a path of 127.0.0.1; `limit` holds for connecting and for each read and write.
pub(crate) fn post(
    port: u16,
    path: &str,
    token: Option<&str>,
    json: &str,
    limit: Duration,
) -> Result<Answer> {
    send("POST", port, path, token, json, limit)
}

fn send(
    method: &str,
    port: u16,
    path: &str,
    token: Option<&str>,
    json: &str,
    limit: Duration,
) -> Result<Answer> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut stream = TcpStream::connect_timeout(&address, limit)
        .with_context(|| format!("nobody answers on {address}"))?;
    stream.set_read_timeout(Some(limit))?;
    stream.set_write_timeout(Some(limit))?;
    let authorization = token.map_or_else(String::new, |token| {
        format!("Authorization: Bearer {token}\r\n")
    });
    let content = match json.len() {
        0 => String::new(),
        length => format!("Content-Type: application/json\r\nContent-Length: {length}\r\n"),
    };
    // Version 1.0: the answer's body is never in chunks, and ends where the connection does.
    let request = format!(
        "{method} {path} HTTP/1.0\r\nHost: {address}\r\n{authorization}{content}\r\n{json}"
    );
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    parse(&answer).with_context(|| format!("{address}{path} answered no HTTP"))
}

fn parse(bytes: &[u8]) -> Option<Answer> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let (head, body) = bytes.split_at_checked(end)?;
    let head = std::str::from_utf8(head).ok()?;
    let body = body.get(4..)?;
    let length = head.lines().skip(1).find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.trim().parse::<usize>().ok())?
    });
    if length.is_some_and(|length| length != body.len()) {
        return None;
    }
    Some(Answer {
        status: head.split_ascii_whitespace().nth(1)?.parse().ok()?,
        body: body.to_vec(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_its_status_and_its_whole_body() {
        let answer = parse(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nok\n").unwrap();
        assert_eq!((answer.status, answer.body.as_slice()), (200, &b"ok\n"[..]));
        let empty = parse(b"HTTP/1.0 204 No Content\r\n\r\n").unwrap();
        assert_eq!((empty.status, empty.body.len()), (204, 0));
    }

    #[test]
    fn what_was_cut_off_is_no_answer() {
        assert_eq!(parse(b"HTTP/1.1 200 OK\r\nContent-Le"), None);
        assert_eq!(
            parse(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok"),
            None
        );
        assert_eq!(parse(b""), None);
    }
}
