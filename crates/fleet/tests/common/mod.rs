//! A fleet of its own for each test, on each database.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::panic,
    clippy::expect_used,
    reason = "only tests stand here, and each takes what it needs"
)]

pub mod devices;
pub mod metadata;
pub mod publisher;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use otter_fleet::{Actor, Clock, Error, Fleet, FleetConfig};
use otter_protocol::admin::{AuditEvent, AuditFilter, StoredArtifact};
use otter_protocol::{Problem, ProblemCode, Timestamp};
use sea_orm::{ConnectionTrait, Database, DatabaseConnection, Statement};
use tempfile::TempDir;

/// Most bytes of an artifact in tests.
pub const MAX_ARTIFACT: u64 = 1 << 20;

/// Defines a test that runs on SQLite, and on PostgreSQL where `OTTER_TEST_POSTGRES_URL` names one.
macro_rules! each_database {
    ($name:ident, |$database:ident| $body:block) => {
        mod $name {
            use super::*;

            async fn body($database: &$crate::common::TestDatabase) $body

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn sqlite() {
                body(&$crate::common::TestDatabase::sqlite()).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn postgres() {
                if let Some(database) = $crate::common::TestDatabase::postgres().await {
                    body(&database).await;
                }
            }
        }
    };
}
pub(crate) use each_database;

/// A database of a test's own.
pub struct TestDatabase {
    pub url: String,
    _folder: Option<TempDir>,
}

impl TestDatabase {
    pub fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", folder.path().join("otter.db").display());
        Self {
            url,
            _folder: Some(folder),
        }
    }

    /// Makes one; `None` where no PostgreSQL is named, a panic where the named one fails.
    pub async fn postgres() -> Option<Self> {
        let server = std::env::var("OTTER_TEST_POSTGRES_URL").ok()?;
        let name = format!("otter_test_{}", uuid::Uuid::new_v4().simple());
        let admin = Database::connect(&server)
            .await
            .expect("OTTER_TEST_POSTGRES_URL doesn't answer");
        admin
            .execute_unprepared(&format!("CREATE DATABASE {name}"))
            .await
            .unwrap();
        admin.close().await.unwrap();
        let (base, _) = server
            .rsplit_once('/')
            .expect("OTTER_TEST_POSTGRES_URL names no database");
        Some(Self {
            url: format!("{base}/{name}"),
            _folder: None,
        })
    }
}

/// A fleet, its clock, and its database's address.
pub struct World {
    pub fleet: Fleet,
    pub url: String,
    pub folder: TempDir,
    clock: Arc<AtomicI64>,
    setup: FleetConfig,
}

impl World {
    pub async fn new(database: &TestDatabase) -> Self {
        Self::with(database, |_| {}).await
    }

    /// Makes one whose fleet is set up otherwise.
    pub async fn with(database: &TestDatabase, change: fn(&mut FleetConfig)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let start: Timestamp = "2030-01-01T00:00:00Z".parse().unwrap();
        let clock = Arc::new(AtomicI64::new(start.0));
        let mut setup = config(&folder, &database.url, &clock);
        change(&mut setup);
        let fleet = Fleet::open(setup.clone()).await.unwrap();
        Self {
            fleet,
            url: database.url.clone(),
            folder,
            clock,
            setup,
        }
    }

    /// Opens the same fleet as another server would.
    pub async fn another_server(&self) -> Fleet {
        Fleet::open(self.setup.clone()).await.unwrap()
    }

    pub fn now(&self) -> Timestamp {
        Timestamp(self.clock.load(Ordering::SeqCst))
    }

    /// Moves the clock.
    pub fn pass_sec(&self, sec: i64) {
        self.pass_ms(sec * 1000);
    }

    /// Moves the clock by milliseconds.
    pub fn pass_ms(&self, ms: i64) {
        self.clock.fetch_add(ms, Ordering::SeqCst);
    }

    /// Connects beside the fleet, as somebody with access to the database.
    pub async fn database(&self) -> DatabaseConnection {
        Database::connect(&self.url).await.unwrap()
    }

    /// Returns the first column of what a query finds, which must be text.
    pub async fn texts(&self, sql: &str) -> Vec<String> {
        let database = self.database().await;
        let statement = Statement::from_string(database.get_database_backend(), sql);
        let rows = database.query_all_raw(statement).await.unwrap();
        rows.iter()
            .map(|row| row.try_get_by_index(0).unwrap())
            .collect()
    }

    /// Returns the actions of all events but those of the start, the oldest first.
    pub async fn actions(&self) -> Vec<String> {
        let events = self.events("*").await;
        let made = ["group.put", "template.put"];
        let at_start =
            |event: &AuditEvent| event.actor == "engine" && made.contains(&event.action.as_str());
        events
            .into_iter()
            .filter(|event| !at_start(event))
            .map(|event| event.action)
            .collect()
    }

    /// Returns the events of an action, the oldest first.
    pub async fn events(&self, action: &str) -> Vec<AuditEvent> {
        let filter = AuditFilter {
            action: Some(action.to_owned()),
            limit: Some(500),
            ..AuditFilter::default()
        };
        let mut events = self.fleet.audit_events(&filter).await.unwrap().items;
        events.reverse();
        events
    }

    pub async fn upload(&self, bytes: &[u8]) -> StoredArtifact {
        let mut upload = self.fleet.begin_upload(&ann(), None, None).await.unwrap();
        upload.write(bytes).await.unwrap();
        upload.finish().await.unwrap()
    }
}

fn config(folder: &TempDir, url: &str, clock: &Arc<AtomicI64>) -> FleetConfig {
    FleetConfig {
        clock: Clock::Manual(clock.clone()),
        max_artifact_bytes: MAX_ARTIFACT,
        ..FleetConfig::new(url, folder.path().join("artifacts"))
    }
}

/// An operator.
pub fn ann() -> Actor {
    Actor::User("ann".to_owned())
}

/// Returns the problem that something ended with.
#[track_caller]
pub fn problem<T>(result: Result<T, Error>) -> Problem {
    match result {
        Ok(_) => panic!("this should have been refused"),
        Err(error) => error.to_problem(),
    }
}

/// Expects a problem of a kind whose detail has a text.
#[track_caller]
pub fn refuses<T>(result: Result<T, Error>, code: ProblemCode, text: &str) {
    let problem = problem(result);
    assert_eq!(problem.code, code, "{}", problem.detail);
    assert!(
        problem.detail.contains(text),
        "`{}` should speak of `{text}`",
        problem.detail
    );
}

/// Expects a problem with one field.
#[track_caller]
pub fn refuses_field<T>(result: Result<T, Error>, field: &str) {
    let problem = problem(result);
    assert_eq!(
        (problem.code, problem.field.as_deref()),
        (ProblemCode::InvalidRequest, Some(field)),
        "{}",
        problem.detail
    );
}
