//! A real server on a free port, and those who speak with it.

mod answer;
mod app;
mod authenticator;
mod browser;
mod caller;
mod certificates;
mod database;
mod device;
mod micropython;
mod object_store;
mod publisher;
mod receiver;
mod wait;

pub use answer::Answer;
pub use app::{MAX_ARTIFACT_BYTES, TestApp};
pub use authenticator::authenticator;
pub use browser::{Browser, PASSWORD};
pub use caller::Caller;
pub use certificates::{Authority, Certified};
pub use database::TestDatabase;
pub use device::{MODEL, TestDevice, enroll_request};
pub use micropython::micropython;
pub use object_store::ObjectStore;
pub use publisher::{Publisher, new_release, signed_artifact};
pub use receiver::{Manner, Receiver};
pub use wait::eventually;

/// Makes a test of a function that is given a [`TestApp`]: one on SQLite, and one on PostgreSQL where
/// `OTTER_TEST_POSTGRES_URL` names a server, as `cargo xtask test` sees to.
macro_rules! on_each_database {
    ($(#[doc = $doc:literal])* async fn $name:ident($app:ident: TestApp) $body:block) => {
        $(#[doc = $doc])*
        mod $name {
            #[allow(unused_imports, reason = "not every test needs what stands around it")]
            use super::*;

            async fn test($app: crate::common::TestApp) $body

            #[tokio::test]
            async fn sqlite() {
                test(crate::common::TestApp::start(crate::common::TestDatabase::sqlite()).await).await;
            }

            #[tokio::test]
            async fn postgres() {
                if let Some(database) = crate::common::TestDatabase::postgres().await {
                    test(crate::common::TestApp::start(database).await).await;
                }
            }
        }
    };
}
pub(crate) use on_each_database;
