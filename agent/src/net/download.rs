//! Fetches an artifact: hashed while it streams, resumed where it was cut, and never a byte more than was signed.

use std::num::NonZeroU64;

use otter_trust::TrustError;
use reqwest::StatusCode;
use reqwest::header::{CONTENT_LENGTH, CONTENT_RANGE, HeaderMap};
use tokio::time::Instant;

use super::backoff::Backoff;
use super::links::Fare;
use super::pace::Pace;
use super::speed::{LeastSpeed, Speed};
use super::transport::{Answer, Freight};
use super::{Client, NetError, Wanted};
use crate::config::RetryPolicy;
use crate::install::{InstallError, Intake};
use crate::journal::Signed;
use crate::life::Heart;

/// How often a download may begin again from nothing before that is called the server's fault.
const MOST_RESTARTS: u32 = 3;

/// How many connections in a row may be too slow before that is called an attack.
const MOST_SLOW: u32 = 5;

/// Why an artifact can't be had.
#[derive(Debug, thiserror::Error)]
pub enum DownloadError {
    /// The bytes aren't those that were signed.
    #[error(transparent)]
    WrongBytes(#[from] TrustError),
    /// More bytes come than were signed.
    #[error(
        "endless data: the server sends more than the {signed} bytes that were signed. \
         Nothing of it was kept; check what the server's artifact store holds"
    )]
    Endless {
        /// Bytes that were signed.
        signed: u64,
    },
    /// The server's artifact has another length than was signed.
    #[error(
        "wrong software: the server announces {announced} bytes, but {signed} were signed. \
         Check what the server's artifact store holds"
    )]
    WrongLength {
        /// Bytes that the server announces.
        announced: u64,
        /// Bytes that were signed.
        signed: u64,
    },
    /// The server won't give it, now or later.
    #[error("the artifact can't be fetched: {0}")]
    Refused(NetError),
    /// The server breaks off again and again before the end.
    #[error("the artifact can't be fetched: the server ends it too early, again and again")]
    TooShort,
    /// The server sends so slowly that the end is never reached.
    #[error(
        "slow retrieval: {0} (`download.min_bytes_per_sec`), on {MOST_SLOW} connections one after another. \
         Check what stands between the device and the server, or lower the limit for a link that is as slow"
    )]
    TooSlow(NetError),
    /// The device can't take it in.
    #[error(transparent)]
    Intake(#[from] InstallError),
}

/// What to fetch, and from where.
#[derive(Debug)]
pub struct Download<'a> {
    /// What was signed.
    pub signed: &'a Signed,
    /// Where the server has it.
    pub url: &'a str,
    /// How to try again.
    pub retry: RetryPolicy,
    /// Most bytes that are taken in a second, on average.
    pub max_bytes_per_sec: Option<NonZeroU64>,
    /// How fast bytes must come.
    pub least_speed: LeastSpeed,
    /// Beats while a download waits.
    pub heart: &'a Heart,
}

/// What a download says of itself while it goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard<'a> {
    /// So many bytes are there: said with each try, and with each piece.
    Bytes(u64),
    /// What is missing comes over a metered link.
    Fare(&'a Fare),
    /// Nothing comes until there is a better link; the text says why.
    Waits(&'a str),
}

/// How one try ended, other than in the end of the whole.
enum Cut {
    /// Go on from here, later.
    Later(NetError),
    /// What is there doesn't go with what comes: begin again.
    Again,
}

impl Download<'_> {
    /// Fetches until it is all there, however often it is cut; `progress` hears how it goes.
    pub async fn run(
        &self,
        client: &Client,
        intake: &mut dyn Intake,
        mut progress: impl FnMut(Heard<'_>),
    ) -> Result<(), DownloadError> {
        let mut backoff = Backoff::new(self.retry);
        let (mut restarts, mut slow) = (0, 0);
        let mut pace = self
            .max_bytes_per_sec
            .map(|most| Pace::new(most, Instant::now()));
        loop {
            let before = intake.taken();
            progress(Heard::Bytes(before));
            let result = self
                .fetch(client, intake, pace.as_mut(), &mut progress)
                .await;
            if intake.taken() > before {
                backoff.succeeded();
            }
            match result {
                Ok(None) => match self.finish(intake) {
                    Err(DownloadError::WrongBytes(_)) if intake.was_resumed() => {
                        intake.restart()?
                    }
                    done => return done,
                },
                Ok(Some(Cut::Later(error @ NetError::TooSlow { .. }))) if slow + 1 >= MOST_SLOW => {
                    intake.discard()?;
                    return Err(DownloadError::TooSlow(error));
                }
                Ok(Some(Cut::Later(error))) => {
                    slow = match &error {
                        NetError::TooSlow { .. } => slow + 1,
                        _ => 0,
                    };
                    let wait = backoff.failed(error.retry_after());
                    tracing::info!(
                        "the download is at {} of {} bytes ({error}); it goes on in {wait:.1?}",
                        intake.taken(),
                        self.signed.length
                    );
                    if let NetError::NoLink(why) = &error {
                        progress(Heard::Waits(why));
                    }
                    self.heart.sleep(wait).await;
                }
                Ok(Some(Cut::Again)) => {
                    restarts += 1;
                    if restarts > MOST_RESTARTS {
                        return Err(DownloadError::TooShort);
                    }
                    intake.restart()?;
                }
                Err(error) => {
                    intake.discard()?;
                    return Err(error);
                }
            }
        }
    }

    /// Fetches what is missing, as far as the connection goes; `None` when nothing is missing any more.
    async fn fetch(
        &self,
        client: &Client,
        intake: &mut dyn Intake,
        mut pace: Option<&mut Pace>,
        progress: &mut impl FnMut(Heard<'_>),
    ) -> Result<Option<Cut>, DownloadError> {
        let signed = self.signed.length;
        if intake.taken() == signed {
            return Ok(None);
        }
        let etag = format!("\"{}\"", self.signed.sha256);
        let wanted = Wanted {
            address: self.url,
            from: intake.taken(),
            etag: &etag,
            freight: Freight {
                bytes: signed.saturating_sub(intake.taken()),
                is_required: self.signed.facts.required,
            },
        };
        let mut answer = match client.artifact(wanted).await {
            Ok(answer) => answer,
            Err(NetError::Refused { status, .. })
                if status == StatusCode::RANGE_NOT_SATISFIABLE =>
            {
                return Ok(Some(Cut::Again));
            }
            Err(error) if error.is_final() => return Err(DownloadError::Refused(error)),
            Err(error) => return Ok(Some(Cut::Later(error))),
        };
        if !self.goes_on_from(&answer, intake.taken())? {
            if answer.status != StatusCode::OK {
                return Ok(Some(Cut::Again));
            }
            intake.restart()?;
        }
        if let Some(fare) = answer.body.fare() {
            progress(Heard::Fare(fare));
        }
        let mut speed = Speed::new(self.least_speed, Instant::now());
        loop {
            let before = intake.taken();
            match answer.body.next().await {
                Ok(Some(piece)) if intake.taken() + piece.len() as u64 > signed => {
                    return Err(DownloadError::Endless { signed });
                }
                Ok(Some(piece)) => intake.take(&piece)?,
                Ok(None) if intake.taken() < signed => {
                    let text = "it ended too early".to_owned();
                    return Ok(Some(Cut::Later(NetError::Unreachable(text))));
                }
                Ok(None) => return Ok(None),
                Err(error) => return Ok(Some(Cut::Later(error))),
            }
            progress(Heard::Bytes(intake.taken()));
            let taken = intake.taken().saturating_sub(before);
            if let Some(bytes) = speed.take(taken, Instant::now())
                && intake.taken() < signed
            {
                return Ok(Some(Cut::Later(NetError::TooSlow {
                    bytes,
                    sec: self.least_speed.over.as_secs(),
                    least: self.least_speed.bytes_per_sec,
                })));
            }
            if let Some(pace) = &mut pace {
                let wait = pace.take(taken, Instant::now());
                self.heart.sleep(wait).await;
                speed.leave_out(wait);
            }
        }
    }

    /// Tells whether an answer begins where the part ends; fails where its whole length is not what was signed.
    fn goes_on_from(&self, answer: &Answer, len: u64) -> Result<bool, DownloadError> {
        let signed = self.signed.length;
        let (begins, total) = match answer.status {
            StatusCode::PARTIAL_CONTENT => content_range(&answer.headers).unwrap_or((None, None)),
            _ => (Some(0), content_length(&answer.headers)),
        };
        match total {
            Some(announced) if announced != signed => {
                Err(DownloadError::WrongLength { announced, signed })
            }
            _ => Ok(begins == Some(len)),
        }
    }

    fn finish(&self, intake: &mut dyn Intake) -> Result<(), DownloadError> {
        if let Err(error) = self.signed.matches(intake.taken(), &intake.digest()) {
            if !intake.was_resumed() {
                intake.discard()?;
            }
            return Err(error.into());
        }
        Ok(intake.finish()?)
    }
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers
        .get(CONTENT_LENGTH)?
        .to_str()
        .ok()?
        .trim()
        .parse()
        .ok()
}

/// Reads a range's first byte and the whole's length from `Content-Range: bytes 5-9/10`.
fn content_range(headers: &HeaderMap) -> Option<(Option<u64>, Option<u64>)> {
    let text = headers.get(CONTENT_RANGE)?.to_str().ok()?;
    let (range, total) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (first, _) = range.split_once('-')?;
    Some((first.trim().parse().ok(), total.trim().parse().ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_ranges() {
        let parse = |text: &str| {
            content_range(&HeaderMap::from_iter([(
                CONTENT_RANGE,
                text.parse().unwrap(),
            )]))
        };
        assert_eq!(parse("bytes 5-9/10"), Some((Some(5), Some(10))));
        assert_eq!(parse("bytes 5-9/*"), Some((Some(5), None)));
        assert_eq!(parse("lines 5-9/10"), None);
    }
}
