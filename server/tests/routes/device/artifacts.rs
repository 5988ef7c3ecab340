use axum::http::Method;
use otter_protocol::{ProblemCode, Sha256Digest};

use crate::common::{Answer, Publisher, TestApp, TestDevice, on_each_database};

/// Headers, and what they get: status, bytes, and `Content-Range`.
type Case<'a> = (&'a [(&'a str, &'a str)], u16, &'a [u8], &'a str);

const BYTES: &[u8] = b"0123456789";

fn path() -> String {
    format!("/device/v1/artifacts/{}", Sha256Digest::of(BYTES))
}

fn tag() -> String {
    format!("\"{}\"", Sha256Digest::of(BYTES))
}

async fn published(app: &TestApp) -> TestDevice {
    Publisher::new(app).await.publish(app, "2.0.0", BYTES).await;
    TestDevice::enroll(app, "d").await
}

async fn get(device: &TestDevice, headers: &[(&str, &str)]) -> Answer {
    let mut request = device.http.request(Method::GET, &path());
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    Answer::of(request.send().await.unwrap()).await
}

on_each_database! {
    async fn the_bytes_come_as_they_are(app: TestApp) {
        let device = published(&app).await;
        let answer = get(&device, &[("accept-encoding", "gzip, br, zstd")]).await;
        assert_eq!((answer.status.as_u16(), &*answer.body), (200, BYTES));
        assert_eq!(answer.header("etag"), tag());
        assert_eq!(answer.header("accept-ranges"), "bytes");
        assert_eq!(answer.header("content-length"), "10");
        assert_eq!(answer.header("content-encoding"), "");
        assert!(answer.header("cache-control").contains("immutable"));
    }
}

on_each_database! {
    async fn parts_are_exactly_what_was_asked_for(app: TestApp) {
        let device = published(&app).await;
        let tag = tag();
        let weak = format!("W/{tag}");
        let cases: [Case; 12] = [
            (&[("range", "bytes=0-3")], 206, b"0123", "bytes 0-3/10"),
            (&[("range", "bytes=4-")], 206, b"456789", "bytes 4-9/10"),
            (&[("range", "bytes=-2")], 206, b"89", "bytes 8-9/10"),
            (&[("range", "bytes=-200")], 206, BYTES, "bytes 0-9/10"),
            (&[("range", "bytes=9-500")], 206, b"9", "bytes 9-9/10"),
            (&[("range", "bytes=0-1,4-5")], 200, BYTES, ""),
            (&[("range", "lines=1-2")], 200, BYTES, ""),
            (&[("range", "bytes=5-2")], 200, BYTES, ""),
            (&[("range", "bytes=4-"), ("if-range", &tag)], 206, b"456789", "bytes 4-9/10"),
            (&[("range", "bytes=4-"), ("if-range", "\"other\"")], 200, BYTES, ""),
            // A weak tag never vouches for bytes.
            (&[("range", "bytes=4-"), ("if-range", &weak)], 200, BYTES, ""),
            (&[("range", "bytes=4-"), ("if-range", "Wed, 21 Oct 2015 07:28:00 GMT")], 200, BYTES, ""),
        ];
        for (headers, status, bytes, range) in cases {
            let answer = get(&device, headers).await;
            assert_eq!((answer.status.as_u16(), &*answer.body), (status, bytes), "{headers:?}");
            assert_eq!(answer.header("content-range"), range, "{headers:?}");
            assert_eq!(answer.header("content-length"), bytes.len().to_string(), "{headers:?}");
            assert_eq!(answer.header("etag"), tag, "{headers:?}");
        }
    }
}

on_each_database! {
    async fn what_it_does_not_have_is_said_so(app: TestApp) {
        let device = published(&app).await;
        for range in ["bytes=10-", "bytes=10-20", "bytes=-0"] {
            let answer = get(&device, &[("range", range)]).await;
            answer.problem(ProblemCode::RangeNotSatisfiable);
            assert_eq!(answer.header("content-range"), "bytes */10", "{range}");
        }
    }
}

on_each_database! {
    async fn what_the_device_has_is_not_sent_again(app: TestApp) {
        let device = published(&app).await;
        for has in [tag(), format!("\"x\", {}", tag()), format!("W/{}", tag()), "*".to_owned()] {
            let answer = get(&device, &[("if-none-match", &has)]).await;
            assert_eq!((answer.status.as_u16(), answer.body.len()), (304, 0), "{has}");
            assert_eq!(answer.header("etag"), tag());
        }
        get(&device, &[("if-none-match", "\"x\"")]).await.expect_status(200);
    }
}

on_each_database! {
    async fn head_tells_the_length_and_sends_nothing(app: TestApp) {
        let device = published(&app).await;
        let response = device.http.request(Method::HEAD, &path()).send().await.unwrap();
        let answer = Answer::of(response).await;
        answer.expect_status(200);
        assert_eq!((answer.header("content-length"), answer.body.len()), ("10", 0));
        assert_eq!(answer.header("accept-ranges"), "bytes");
    }
}

on_each_database! {
    async fn only_published_releases_have_bytes_for_devices(app: TestApp) {
        let publisher = Publisher::new(&app).await;
        let device = TestDevice::enroll(&app, "d").await;
        publisher.draft(&app, "2.0.0", BYTES).await;
        get(&device, &[]).await.problem(ProblemCode::NotFound);
        app.stranger().get(&path()).await.problem(ProblemCode::Unauthenticated);
    }
}

on_each_database! {
    async fn a_large_artifact_arrives_whole_in_parts(app: TestApp) {
        let bytes: Vec<u8> = (0..1_000_000u32).map(|number| (number.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        Publisher::new(&app).await.publish(&app, "2.0.0", &bytes).await;
        let device = TestDevice::enroll(&app, "d").await;
        let path = format!("/device/v1/artifacts/{}", Sha256Digest::of(&bytes));
        let mut whole = Vec::new();
        while whole.len() < bytes.len() {
            let range = format!("bytes={}-{}", whole.len(), whole.len() + 300_000 - 1);
            let request = device.http.request(Method::GET, &path).header("range", range);
            let answer = Answer::of(request.send().await.unwrap()).await;
            answer.expect_status(206);
            whole.extend_from_slice(&answer.body);
        }
        assert_eq!(Sha256Digest::of(&whole), Sha256Digest::of(&bytes));
    }
}
