use otter_protocol::{ProblemCode, Sha256Digest};
use otter_trust::{MemoryStore, MetadataSource, SourceError, Timestamp, Verifier};

use crate::common::{Caller, Publisher, on_each_database};

/// The server's metadata, as an agent fetches it.
struct Http(Caller);

impl MetadataSource for Http {
    async fn fetch(&self, name: &str, _: u64) -> Result<Option<Vec<u8>>, SourceError> {
        let answer = self.0.get(&format!("/device/v1/trust/{name}")).await;
        Ok((answer.status == 200).then(|| answer.body.to_vec()))
    }
}

on_each_database! {
    async fn a_device_verifies_what_was_published(app: TestApp) {
        let mut publisher = Publisher::new(&app).await;
        publisher.publish(&app, "2.0.0", b"new").await;
        let source = Http(app.stranger());
        let root = source.fetch("1.root.json", 0).await.unwrap().unwrap();
        let mut verifier = Verifier::open(MemoryStore::default(), Some(&root)).unwrap();
        let trusted = verifier.refresh(&source, Timestamp::now()).await.unwrap();
        assert_eq!((trusted.root, trusted.targets), (1, 1));
        let name = otter_trust::target_name(1, &Sha256Digest::of(b"new"));
        assert!(String::from_utf8_lossy(&source.fetch("1.targets.json", 0).await.unwrap().unwrap()).contains(&name));
        publisher.publish(&app, "2.1.0", b"newer").await;
        let trusted = verifier.refresh(&source, Timestamp::now()).await.unwrap();
        assert_eq!(trusted.targets, 2);
    }
}

on_each_database! {
    async fn only_names_of_metadata_lead_anywhere(app: TestApp) {
        Publisher::new(&app).await;
        for name in ["2.root.json", "root.json", "timestamp.json", "..%2Fotter.db", "1.root.json%00", "0.root.json"] {
            app.stranger().get(&format!("/device/v1/trust/{name}")).await.problem(ProblemCode::NotFound);
        }
        let root = app.stranger().get("/device/v1/trust/1.root.json").await;
        root.expect_status(200);
        assert!(root.header("cache-control").contains("immutable"));
    }
}
