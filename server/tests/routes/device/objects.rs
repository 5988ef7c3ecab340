//! Artifacts in an S3-compatible store: in parts, in ranges, by redirects, and while it is away.

use axum::http::Method;
use otter_fleet::ArtifactRedirect;
use otter_protocol::{ProblemCode, Sha256Digest};
use otter_server::Config;

use crate::common::{Answer, ObjectStore, Publisher, TestApp, TestDatabase, TestDevice};

/// More than a part of an upload has.
const LARGE: usize = 20 << 20;

fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_u32;
    let byte = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_le_bytes()[0]
    };
    std::iter::repeat_with(byte).take(length).collect()
}

/// A server whose artifacts lie in a bucket.
async fn start(store: &ObjectStore, change: impl FnOnce(&mut Config)) -> TestApp {
    let larger =
        |settings: &mut otter_server::Settings| settings.max_artifact_bytes = Some(1 << 26);
    let mut app = TestApp::start_with(TestDatabase::sqlite(), larger).await;
    app.restart(|config| {
        store.use_it(config);
        change(config);
    })
    .await;
    app
}

fn path(bytes: &[u8]) -> String {
    format!("/device/v1/artifacts/{}", Sha256Digest::of(bytes))
}

async fn get(device: &TestDevice, path: &str, range: Option<&str>) -> Answer {
    let mut request = device.http.request(Method::GET, path);
    if let Some(range) = range {
        request = request.header("range", range);
    }
    Answer::of(request.send().await.unwrap()).await
}

/// Follows a redirect as a device does: without its token, with its range.
async fn follow(app: &TestApp, answer: &Answer, range: Option<&str>) -> Answer {
    answer.expect_status(307);
    assert_eq!(answer.header("cache-control"), "no-store");
    let mut request = app.stranger().http.get(answer.header("location"));
    if let Some(range) = range {
        request = request.header("range", range);
    }
    Answer::of(request.send().await.unwrap()).await
}

#[tokio::test]
async fn bytes_lie_in_the_bucket_and_come_whole_or_in_parts() {
    let store = ObjectStore::start().await;
    let app = start(&store, |_| {}).await;
    let mut publisher = Publisher::new(&app).await;
    let (small, large) = (noise(1000), noise(LARGE));
    publisher.publish(&app, "2.0.0", &small).await;
    publisher.publish(&app, "3.0.0", &large).await;
    let mut names = [&small, &large].map(|bytes| {
        let name = Sha256Digest::of(bytes).to_string();
        format!("otter/{}/{name}", &name[..2])
    });
    names.sort();
    assert_eq!(store.objects(), names);
    assert_eq!(app.stored_files(), Vec::<std::path::PathBuf>::new());

    let device = TestDevice::enroll(&app, "d").await;
    let whole = get(&device, &path(&large), None).await;
    assert_eq!((whole.status.as_u16(), whole.body.len()), (200, LARGE));
    assert!(whole.body == large);
    for (range, part) in [
        ("bytes=0-9", 0..10),
        ("bytes=8388600-8388700", 8_388_600..8_388_701),
        ("bytes=-5", LARGE - 5..LARGE),
    ] {
        let answer = get(&device, &path(&large), Some(range)).await;
        assert_eq!(answer.status, 206, "{range}");
        assert_eq!(answer.header("content-length"), part.len().to_string());
        assert!(answer.body == large[part], "{range}");
    }
    get(&device, &path(&small), Some("bytes=1000-"))
        .await
        .problem(ProblemCode::RangeNotSatisfiable);
    get(&device, &path(b"other"), None)
        .await
        .problem(ProblemCode::NotFound);
}

#[tokio::test]
async fn devices_are_sent_to_the_bucket_by_addresses_that_it_signed_for_them() {
    let store = ObjectStore::start().await;
    let signed = |config: &mut Config| config.fleet.artifacts_redirect = ArtifactRedirect::Signed;
    let app = start(&store, signed).await;
    let bytes = noise(5000);
    Publisher::new(&app)
        .await
        .publish(&app, "2.0.0", &bytes)
        .await;
    let device = TestDevice::enroll(&app, "d").await;
    let sent = get(&device, &path(&bytes), Some("bytes=4000-")).await;
    let part = follow(&app, &sent, Some("bytes=4000-")).await;
    assert_eq!(part.status, 206);
    assert!(part.body == bytes[4000..]);
    assert!(follow(&app, &sent, None).await.body == bytes);
    // What nobody signed opens nothing, nor does a signature for something else.
    let address = sent.header("location");
    let stranger = app.stranger().http;
    for wrong in [
        address.split('?').next().unwrap().to_owned(),
        address.replace("X-Amz-Expires=900", "X-Amz-Expires=90000"),
    ] {
        assert_ne!(wrong, address);
        let answer = stranger.get(wrong).send().await.unwrap();
        assert_eq!(answer.status(), 403);
    }
    let head = device.http.request(Method::HEAD, &path(&bytes));
    let head = Answer::of(head.send().await.unwrap()).await;
    assert_eq!(
        (head.status.as_u16(), head.header("content-length")),
        (200, "5000")
    );
    get(&device, &path(b"other"), None)
        .await
        .problem(ProblemCode::NotFound);
    app.stranger()
        .get(&path(&bytes))
        .await
        .problem(ProblemCode::Unauthenticated);
}

#[tokio::test]
async fn devices_are_sent_to_an_address_that_has_the_artifacts() {
    let store = ObjectStore::start().await;
    let base = "https://cdn.example/otter/";
    let to = |config: &mut Config| {
        config.fleet.artifacts_redirect = ArtifactRedirect::To(base.parse().unwrap());
    };
    let app = start(&store, to).await;
    let bytes = noise(50);
    Publisher::new(&app)
        .await
        .publish(&app, "2.0.0", &bytes)
        .await;
    let device = TestDevice::enroll(&app, "d").await;
    let name = Sha256Digest::of(&bytes).to_string();
    let sent = get(&device, &path(&bytes), None).await;
    sent.expect_status(307);
    assert_eq!(
        sent.header("location"),
        format!("{base}{}/{name}", &name[..2])
    );
}

#[tokio::test]
async fn while_the_store_is_away_devices_still_check_in() {
    let mut store = ObjectStore::start().await;
    let app = start(&store, |_| {}).await;
    let bytes = noise(5000);
    Publisher::new(&app)
        .await
        .publish(&app, "2.0.0", &bytes)
        .await;
    let device = TestDevice::enroll(&app, "d").await;
    store.stop().await;
    let answer = get(&device, &path(&bytes), None).await;
    answer.problem(ProblemCode::Unavailable);
    assert_ne!(answer.header("retry-after"), "");
    let upload = format!("/api/v1/artifacts/{}", Sha256Digest::of(b"new"));
    app.operator()
        .put_bytes(&upload, b"new")
        .await
        .problem(ProblemCode::Unavailable);
    device.check_in().await;
    store.start_again().await;
    assert!(get(&device, &path(&bytes), None).await.body == bytes);
    app.operator()
        .put_bytes(&upload, b"new")
        .await
        .expect_status(201);
    assert_eq!(app.stored_files(), Vec::<std::path::PathBuf>::new());
}

#[tokio::test]
async fn a_store_that_refuses_the_server_keeps_it_from_starting() {
    let store = ObjectStore::start().await;
    let mut config = Config::new(otter_server::Settings::default()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    config.data_dir = folder.path().to_owned();
    config.fleet.database_url = format!("sqlite://{}", folder.path().join("otter.db").display());
    store.use_it_with_a_wrong_secret(&mut config);
    let error = otter_server::serve::open(&config).await.unwrap_err();
    assert!(
        format!("{error:#}").contains("the artifact store"),
        "{error:#}"
    );
}
