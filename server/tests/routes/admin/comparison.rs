use otter_protocol::comparison::{Comparison, Recommendation};
use otter_protocol::{AttemptState, ProblemCode};

use crate::common::{Publisher, TestDevice, on_each_database};

on_each_database! {
    async fn a_release_has_a_record_once_an_attempt_finished(app: TestApp) {
        let mut device = TestDevice::enroll(&app, "d").await;
        let publisher = &mut Publisher::new(&app).await;
        let rollout = publisher.roll_out(&app, "2.0.0", b"new").await;
        let compare = "/api/v1/releases/compare?releases=1";
        let before: Comparison = app.viewer().get(compare).await.expect(200);
        assert_eq!(before, Comparison::default());
        let offer = device.offer().await;
        device.version = offer.version.to_string();
        device.report(&offer, AttemptState::Succeeded, None).await;
        let after: Comparison = app.viewer().get(compare).await.expect(200);
        let record = &after.records[0];
        assert_eq!((record.version.as_str(), record.finished), ("2.0.0", 1));
        assert_eq!(record.success_rate.unwrap().value, 1.0);
        let within = format!("{compare}&rollouts={rollout}&model={}", record.model);
        let within: Comparison = app.viewer().get(&within).await.expect(200);
        assert_eq!(within, after);
        let elsewhere: Comparison = app.viewer().get(&format!("{compare}&rollouts=999")).await.expect(200);
        assert_eq!(elsewhere, Comparison::default());
        let recommended: Vec<Recommendation> = app.viewer().get("/api/v1/recommended").await.expect(200);
        assert_eq!(recommended[0].recommended, None);
        assert!(recommended[0].reason.contains("2.0.0 has the most, 1"), "{recommended:?}");
    }
}

on_each_database! {
    async fn what_can_not_be_compared_names_its_field(app: TestApp) {
        for (query, field) in [
            ("", "releases"),
            ("releases=", "releases"),
            ("releases=one", "releases"),
            ("releases=999", "releases"),
            ("releases=1,2,3,4,5,6,7,8,9,10,11", "releases"),
            ("releases=1&rollouts=a", "rollouts"),
        ] {
            let answer = app.viewer().get(&format!("/api/v1/releases/compare?{query}")).await;
            let problem = answer.problem(ProblemCode::InvalidRequest);
            assert_eq!(problem.field.as_deref(), Some(field), "{query}: {problem:?}");
        }
    }
}
