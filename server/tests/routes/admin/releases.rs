use otter_protocol::admin::ReleaseDetail;
use otter_protocol::release::{Release, ReleaseState};
use otter_protocol::{ProblemCode, Sha256Digest};
use serde_json::json;

use crate::common::{Publisher, new_release, on_each_database};

on_each_database! {
    async fn a_version_comes_once_for_a_model(app: TestApp) {
        let publisher = Publisher::new(&app).await;
        publisher.draft(&app, "2.0.0", b"one").await;
        let other = app.operator().put_bytes(&format!("/api/v1/artifacts/{}", Sha256Digest::of(b"two")), "two").await;
        other.expect_status(201);
        let events = app.events().await;
        let answer = app.operator().post("/api/v1/releases", &new_release("2.0.0", b"two")).await;
        let problem = answer.problem(ProblemCode::AlreadyExists);
        assert!(problem.detail.contains("2.0.0"), "{problem:?}");
        assert_eq!(app.events().await, events);
        let releases: Vec<Release> = app.viewer().get("/api/v1/releases").await.expect(200);
        assert_eq!(releases.len(), 1);
    }
}

on_each_database! {
    async fn a_release_needs_bytes_that_were_uploaded(app: TestApp) {
        let answer = app.operator().post("/api/v1/releases", &new_release("2.0.0", b"never sent")).await;
        assert!(answer.status.is_client_error(), "{answer:?}");
        for body in [json!({"version": "", "artifacts": []}), json!({"version": "1", "artifacts": []})] {
            app.operator().post("/api/v1/releases", &body).await.problem(ProblemCode::InvalidRequest);
        }
    }
}

on_each_database! {
    async fn the_newest_come_first_and_no_more_than_asked_for(app: TestApp) {
        let publisher = Publisher::new(&app).await;
        for version in ["1.1.0", "1.2.0", "1.3.0"] {
            publisher.draft(&app, version, version.as_bytes()).await;
        }
        let releases: Vec<Release> = app.viewer().get("/api/v1/releases?limit=2").await.expect(200);
        let versions: Vec<_> = releases.iter().map(|release| release.version.as_str()).collect();
        assert_eq!(versions, ["1.3.0", "1.2.0"]);
    }
}

on_each_database! {
    async fn a_withdrawn_release_is_gone_for_devices(app: TestApp) {
        let id = Publisher::new(&app).await.publish(&app, "2.0.0", b"new").await;
        let path = format!("/api/v1/releases/{id}");
        let detail: ReleaseDetail = app.viewer().get(&path).await.expect(200);
        assert_eq!(detail.release.state, ReleaseState::Published);
        let withdrawn: Release =
            app.operator().post(&format!("{path}/withdraw"), &json!({"reason": "burns"})).await.expect(200);
        assert_eq!(withdrawn.state, ReleaseState::Withdrawn);
        let spec = json!({"name": "r", "release": id,
            "phases": [{"name": "all", "scope": {"kind": "share", "share": 100}}]});
        let answer = app.operator().post("/api/v1/rollouts", &spec).await;
        assert!(answer.status.is_client_error(), "{answer:?}");
        app.viewer().get("/api/v1/releases/999").await.problem(ProblemCode::NotFound);
    }
}
