//! Why a call brought nothing.

use std::time::Duration;

use reqwest::StatusCode;

/// Why a call brought nothing.
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    /// The server answered, and the answer was no.
    #[error("the server answered {status}: {text}")]
    Refused {
        /// The answer's status.
        status: StatusCode,
        /// The server's words.
        text: String,
        /// When it wants to be asked again.
        retry_after: Option<Duration>,
    },
    /// No connection could be made.
    #[error("the server can't be reached: {0}")]
    Unconnected(String),
    /// Nothing was heard for too long.
    #[error("the server fell silent: {0}")]
    Silent(String),
    /// Nobody answered, or not to the end.
    #[error("the server can't be reached: {0}")]
    Unreachable(String),
    /// Bytes come, but too slowly.
    #[error("only {bytes} bytes came in {sec} seconds, where {least} in a second are asked for")]
    TooSlow {
        /// Bytes that came.
        bytes: u64,
        /// Time that was measured, in seconds.
        sec: u64,
        /// Bytes in a second that are asked for.
        least: u64,
    },
    /// Every connection that works is one that may not carry this.
    #[error("no link may carry this now: {0}")]
    NoLink(String),
    /// The server sends from one address to the next.
    #[error("the server redirects more than {most} times, last to {last}")]
    Redirects {
        /// How many redirects are followed.
        most: usize,
        /// Where it sends to now.
        last: String,
    },
    /// A certificate that the configuration names can't be used.
    #[error("a certificate in `[tls]` can't be used: {0}")]
    Certificate(String),
    /// The answer makes no sense.
    #[error("the server's answer makes no sense: {0}")]
    Malformed(String),
    /// The answer has more bytes than any answer needs.
    #[error("endless data: the server's answer has more than {0} bytes")]
    TooLarge(u64),
}

impl NetError {
    /// Tells whether the same call can't succeed later.
    pub fn is_final(&self) -> bool {
        match self {
            Self::Refused { status, .. } => {
                status.is_client_error()
                    && !matches!(
                        *status,
                        StatusCode::UNAUTHORIZED
                            | StatusCode::REQUEST_TIMEOUT
                            | StatusCode::TOO_EARLY
                            | StatusCode::TOO_MANY_REQUESTS
                    )
            }
            Self::Redirects { .. } => true,
            _ => false,
        }
    }

    /// Tells whether the server doesn't take the device's token.
    pub fn is_unauthenticated(&self) -> bool {
        matches!(self, Self::Refused { status, .. } if *status == StatusCode::UNAUTHORIZED)
    }

    /// Returns when the server wants to be asked again, where it says so.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

impl From<reqwest::Error> for NetError {
    fn from(error: reqwest::Error) -> Self {
        let (is_connecting, is_timeout) = (error.is_connect(), error.is_timeout());
        // An address can hold a key that lets whoever knows it in.
        let error = error.without_url();
        let mut text = error.to_string();
        let mut cause = std::error::Error::source(&error);
        while let Some(inner) = cause {
            text.push_str(": ");
            text.push_str(&inner.to_string());
            cause = inner.source();
        }
        match (is_connecting, is_timeout) {
            (true, _) => Self::Unconnected(text),
            (_, true) => Self::Silent(text),
            _ => Self::Unreachable(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_answers_that_stay_the_same_are_final() {
        let refused = |status: u16| NetError::Refused {
            status: StatusCode::from_u16(status).unwrap(),
            text: String::new(),
            retry_after: None,
        };
        for status in [400, 403, 404, 409, 413, 422] {
            assert!(refused(status).is_final(), "{status}");
        }
        for status in [401, 408, 425, 429, 500, 502, 503] {
            assert!(!refused(status).is_final(), "{status}");
        }
        assert!(!NetError::Unreachable(String::new()).is_final());
    }
}
