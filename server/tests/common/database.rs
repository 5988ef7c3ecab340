//! A database for one test.

use sea_orm::{ConnectionTrait as _, Database};
use tempfile::TempDir;

/// A database of its own, in a folder that goes with the test.
pub struct TestDatabase {
    pub url: String,
    pub folder: TempDir,
}

impl TestDatabase {
    pub fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", folder.path().join("otter.db").display());
        Self { url, folder }
    }

    /// A fresh database on the server that the environment names; `None` where it names none.
    pub async fn postgres() -> Option<Self> {
        let server = std::env::var("OTTER_TEST_POSTGRES_URL").ok()?;
        let name = format!("otter_server_{}", uuid::Uuid::new_v4().simple());
        let connection = Database::connect(&server).await.unwrap();
        connection
            .execute_unprepared(&format!("CREATE DATABASE {name}"))
            .await
            .unwrap();
        connection.close().await.unwrap();
        let mut url = url::Url::parse(&server).unwrap();
        url.set_path(&name);
        Some(Self {
            url: url.into(),
            folder: tempfile::tempdir().unwrap(),
        })
    }
}
