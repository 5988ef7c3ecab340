use otter_protocol::ProblemCode;
use otter_protocol::admin::TrustStatus;
use otter_protocol::release::{Release, ReleaseState};
use otter_trust::SecretKey;

use crate::common::{Publisher, TestApp, TestDevice, on_each_database, signed_artifact};

async fn states(app: &TestApp) -> Vec<ReleaseState> {
    let releases: Vec<Release> = app.viewer().get("/api/v1/releases").await.expect(200);
    releases.iter().map(|release| release.state).collect()
}

async fn nothing_changed(app: &TestApp, events: i64) {
    assert_eq!(app.events().await, events);
    assert_eq!(states(app).await, [ReleaseState::Draft]);
    let status: TrustStatus = app.viewer().get("/api/v1/trust").await.expect(200);
    assert_eq!(status.targets_version, None);
}

on_each_database! {
    async fn a_signature_publishes_the_draft(app: TestApp) {
        let mut publisher = Publisher::new(&app).await;
        publisher.publish(&app, "2.0.0", b"new").await;
        assert_eq!(states(&app).await, [ReleaseState::Published]);
        let status: TrustStatus = app.viewer().get("/api/v1/trust").await.expect(200);
        assert_eq!((status.root_version, status.targets_version), (Some(1), Some(1)));
    }
}

on_each_database! {
    async fn an_unsigned_release_stays_a_draft(app: TestApp) {
        let publisher = Publisher::new(&app).await;
        publisher.draft(&app, "2.0.0", b"new").await;
        let device = TestDevice::enroll(&app, "d").await;
        device.check_in().await;
        assert_eq!(states(&app).await, [ReleaseState::Draft]);
        let events = app.events().await;
        let unsigned = publisher.targets.finish(otter_trust::Timestamp::now(), jiff::SignedDuration::from_hours(1));
        let bytes = unsigned.unwrap().to_bytes().unwrap();
        app.operator().put_bytes("/api/v1/trust/targets", bytes).await.problem(ProblemCode::Untrusted);
        nothing_changed(&app, events).await;
    }
}

on_each_database! {
    async fn a_wrong_signature_changes_nothing(app: TestApp) {
        let mut publisher = Publisher::new(&app).await;
        publisher.draft(&app, "2.0.0", b"new").await;
        publisher.targets_key = SecretKey::generate().unwrap();
        let events = app.events().await;
        publisher.sign(&app, "2.0.0", b"new").await.problem(ProblemCode::Untrusted);
        nothing_changed(&app, events).await;
    }
}

on_each_database! {
    async fn what_was_signed_must_be_what_was_uploaded(app: TestApp) {
        let mut publisher = Publisher::new(&app).await;
        publisher.draft(&app, "2.0.0", b"new").await;
        let events = app.events().await;
        let mut longer = signed_artifact("2.0.0", 1, b"new");
        longer.length += 1;
        for artifact in [longer, signed_artifact("2.0.0", 1, b"never uploaded"), signed_artifact("2.0.1", 1, b"new")] {
            let answer = publisher.send(&app, &artifact).await;
            assert!([409, 422].contains(&answer.status.as_u16()), "{answer:?}");
        }
        nothing_changed(&app, events).await;
        publisher.sign(&app, "2.0.0", b"new").await.expect_status(200);
    }
}

on_each_database! {
    async fn bytes_that_are_no_metadata_are_refused(app: TestApp) {
        let publisher = Publisher::new(&app).await;
        publisher.draft(&app, "2.0.0", b"new").await;
        let events = app.events().await;
        for bytes in ["", "{}", "nonsense", "{\"signed\":{},\"signatures\":[]}"] {
            for (caller, path) in [(app.operator(), "targets"), (app.admin(), "root")] {
                let answer = caller.put_bytes(&format!("/api/v1/trust/{path}"), bytes).await;
                answer.problem(ProblemCode::Untrusted);
            }
        }
        nothing_changed(&app, events).await;
    }
}

on_each_database! {
    async fn a_root_of_somebody_else_is_refused(app: TestApp) {
        let first = Publisher::new(&app).await;
        let stranger = Publisher { root_key: SecretKey::generate().unwrap(), ..first };
        let root = stranger.root(&app).await;
        app.admin().put_bytes("/api/v1/trust/root", root).await.problem(ProblemCode::Untrusted);
    }
}
