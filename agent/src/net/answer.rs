//! What the server answers, read within bounds.

use std::time::Duration;

use otter_protocol::Problem;
use reqwest::header::{HeaderMap, LOCATION, RETRY_AFTER};

use super::NetError;
use super::transport::Answer;

const LARGEST_PROBLEM: u64 = 64 << 10;
/// Longest time that a server can ask to be left alone.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(24 * 60 * 60);
/// Most characters of an address in a message.
const LONGEST_DESTINATION: usize = 200;

/// Reads a body of at most `max` bytes.
pub(super) async fn read_body(mut answer: Answer, max: u64) -> Result<Vec<u8>, NetError> {
    let mut body = Vec::new();
    while let Some(piece) = answer.body.next().await? {
        if (body.len() + piece.len()) as u64 > max {
            return Err(NetError::TooLarge(max));
        }
        body.extend_from_slice(&piece);
    }
    Ok(body)
}

/// Reads why the server said no.
pub(super) async fn refusal(answer: Answer) -> NetError {
    let status = answer.status;
    let retry_after = retry_after(&answer.headers);
    let elsewhere = status
        .is_redirection()
        .then(|| destination(&answer.headers));
    let body = read_body(answer, LARGEST_PROBLEM).await.unwrap_or_default();
    let text = match (serde_json::from_slice::<Problem>(&body), elsewhere) {
        (Ok(problem), _) => problem.detail,
        (Err(_), Some(elsewhere)) => format!(
            "it sends to {elsewhere}, but what this device says is for its own server alone. \
             Set `server` to where the server really is"
        ),
        (Err(_), None) => status
            .canonical_reason()
            .unwrap_or("no reason given")
            .to_owned(),
    };
    NetError::Refused {
        status,
        text,
        retry_after,
    }
}

/// Writes where an answer redirects to.
fn destination(headers: &HeaderMap) -> String {
    let text = headers.get(LOCATION).and_then(|to| to.to_str().ok());
    let text = text.unwrap_or("an address that makes no sense");
    text.chars().take(LONGEST_DESTINATION).collect()
}

/// Reads `Retry-After` (RFC 9110, 10.2.3): seconds, or a date.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = match text.parse::<u64>() {
        Ok(sec) => Duration::from_secs(sec),
        Err(_) => {
            let then = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
            Duration::try_from(then.duration_since(jiff::Timestamp::now())).unwrap_or_default()
        }
    };
    Some(wait.min(LONGEST_RETRY_AFTER))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(value: &str) -> HeaderMap {
        HeaderMap::from_iter([(RETRY_AFTER, value.parse().unwrap())])
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        assert_eq!(retry_after(&headers("7")), Some(Duration::from_secs(7)));
        assert_eq!(
            retry_after(&headers("Sun, 06 Nov 1994 08:49:37 GMT")),
            Some(Duration::ZERO)
        );
        let soon = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(100);
        let soon = jiff::fmt::rfc2822::DateTimePrinter::new()
            .timestamp_to_rfc9110_string(&soon)
            .unwrap();
        let wait = retry_after(&headers(&soon)).unwrap().as_secs();
        assert!((95..=100).contains(&wait), "{wait}");
        assert_eq!(retry_after(&headers("99999999")), Some(LONGEST_RETRY_AFTER));
        assert_eq!(retry_after(&headers("soon")), None);
        assert_eq!(retry_after(&HeaderMap::new()), None);
    }
}
