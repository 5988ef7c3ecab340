//! Reading a request's body into memory, up to a limit.

use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use axum::http::{HeaderMap, header};
use bytes::{Bytes, BytesMut};
use futures::StreamExt as _;
use otter_protocol::ProblemCode;

use crate::failure::{Failure, Result};

/// How long a body that fits in memory may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Bytes beyond a limit that are still read and dropped, so that the client is listening when the answer comes: who is cut
/// off while sending sees a broken connection, not the reason.
const COURTESY: u64 = 4 << 20;

/// Reads a body of at most `limit` bytes.
pub(crate) async fn read(headers: &HeaderMap, body: Body, limit: usize) -> Result<Bytes> {
    let mut stream = body.into_data_stream();
    if content_length(headers).is_some_and(|length| length > limit as u64) {
        drain(headers, &mut stream).await;
        return Err(too_large(limit as u64));
    }
    match tokio::time::timeout(PATIENCE, collect(&mut stream, limit)).await {
        Ok(Ok(Some(bytes))) => Ok(bytes),
        Ok(Ok(None)) => {
            drain(headers, &mut stream).await;
            Err(too_large(limit as u64))
        }
        Ok(Err(error)) => Err(cut_off(&error)),
        Err(_) => Err(Failure::body(format!(
            "The body didn't arrive within {} seconds; send it again.",
            PATIENCE.as_secs()
        ))),
    }
}

/// Returns how many bytes the client says it sends.
pub(crate) fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers
        .get(header::CONTENT_LENGTH)?
        .to_str()
        .ok()?
        .parse()
        .ok()
}

/// Reads and drops what still comes, within reason; a client that waits for a go-ahead isn't given one.
pub(crate) async fn drain(headers: &HeaderMap, stream: &mut BodyDataStream) {
    if headers.contains_key(header::EXPECT) {
        return;
    }
    let drain = async {
        let mut left = COURTESY;
        while let Some(Ok(chunk)) = stream.next().await {
            left = left.saturating_sub(chunk.len() as u64);
            if left == 0 {
                break;
            }
        }
    };
    // Late or not, the answer is the same.
    let _ = tokio::time::timeout(PATIENCE, drain).await;
}

/// Says that a body ended before its end.
pub(crate) fn cut_off(error: &axum::Error) -> Failure {
    Failure::body(format!(
        "The body was cut off ({error}); send it again, whole."
    ))
}

fn too_large(limit: u64) -> Failure {
    let detail = format!("The body has more than the {limit} bytes that are allowed here.");
    Failure::new(ProblemCode::TooLarge, detail)
}

/// Collects a body; `None` over the limit. A body of one chunk, as most are, is not copied.
async fn collect(
    stream: &mut BodyDataStream,
    limit: usize,
) -> std::result::Result<Option<Bytes>, axum::Error> {
    let Some(first) = stream.next().await.transpose()? else {
        return Ok(Some(Bytes::new()));
    };
    if first.len() > limit {
        return Ok(None);
    }
    let Some(second) = stream.next().await.transpose()? else {
        return Ok(Some(first));
    };
    let mut all = BytesMut::with_capacity(first.len() + second.len());
    all.extend_from_slice(&first);
    all.extend_from_slice(&second);
    while all.len() <= limit {
        match stream.next().await.transpose()? {
            Some(chunk) => all.extend_from_slice(&chunk),
            None => return Ok(Some(all.freeze())),
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunks(sizes: &[usize]) -> Body {
        let chunks: Vec<_> = sizes
            .iter()
            .map(|size| Ok::<_, std::io::Error>(vec![b'x'; *size]))
            .collect();
        Body::from_stream(futures::stream::iter(chunks))
    }

    #[tokio::test]
    async fn a_body_is_whole_up_to_its_limit_however_it_comes() {
        for sizes in [&[][..], &[10], &[4, 6], &[1, 2, 3, 4]] {
            let read = read(&HeaderMap::new(), chunks(sizes), 10).await.unwrap();
            assert_eq!(read.len(), sizes.iter().sum::<usize>(), "{sizes:?}");
        }
        for sizes in [&[11][..], &[4, 7], &[1, 2, 3, 5], &[10, 0, 1]] {
            let failure = read(&HeaderMap::new(), chunks(sizes), 10).await;
            assert!(failure.is_err(), "{sizes:?}");
        }
    }
}
