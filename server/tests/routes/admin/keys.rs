//! API keys and enrollment tokens: shown once, and ended at once.

use otter_protocol::ProblemCode;
use otter_protocol::admin::{ApiKey, EnrollmentToken, Me, Role, WithSecret};
use otter_trust::SecretKey;
use serde_json::{Value, json};

use crate::common::{enroll_request, on_each_database};

on_each_database! {
    async fn a_key_counts_until_it_is_taken_back(app: TestApp) {
        let new = json!({"name": "ci", "role": "operator"});
        let made: WithSecret<ApiKey> = app.admin().post("/api/v1/api-keys", &new).await.expect(201);
        assert!(made.secret.starts_with("otk_"));
        let program = app.stranger().with(&made.secret);
        let me: Me = program.get("/api/v1/me").await.expect(200);
        assert_eq!(me, Me { name: "ci".into(), role: Role::Operator });
        let list = app.admin().get("/api/v1/api-keys").await;
        list.expect::<Vec<ApiKey>>(200);
        assert!(!list.text().contains(&made.secret));
        app.admin().delete(&format!("/api/v1/api-keys/{}", made.made.id)).await.expect_status(204);
        program.get("/api/v1/me").await.problem(ProblemCode::Unauthenticated);
    }
}

on_each_database! {
    async fn a_token_lets_in_until_it_is_used_up_or_taken_back(app: TestApp) {
        let new = json!({"name": "one", "quota": 1});
        let made: WithSecret<EnrollmentToken> =
            app.admin().post("/api/v1/enrollment-tokens", &new).await.expect(201);
        assert!(made.secret.starts_with("ote_"));
        let enroll = async |id: &str, token: &str| {
            let key = SecretKey::generate().unwrap();
            let body = serde_json::to_value(enroll_request(id, &key, Some(token))).unwrap();
            app.stranger().post("/device/v1/enroll", &body).await
        };
        enroll("first", &made.secret).await.expect_status(201);
        enroll("second", &made.secret).await.problem(ProblemCode::Unauthenticated);
        let list: Vec<Value> = app.admin().get("/api/v1/enrollment-tokens").await.expect(200);
        let id = list.iter().find(|token| token["name"] == "test").unwrap()["id"].as_i64().unwrap();
        app.admin().delete(&format!("/api/v1/enrollment-tokens/{id}")).await.expect_status(204);
        let token = app.enrollment_token.clone();
        enroll("third", &token).await.problem(ProblemCode::Unauthenticated);
    }
}
