use serde_json::{Value, json};

use crate::common::on_each_database;

on_each_database! {
    async fn a_server_that_works_says_so(app: TestApp) {
        let health: Value = app.stranger().get("/health").await.expect(200);
        assert_eq!(health, json!({"status": "healthy"}));
    }
}
