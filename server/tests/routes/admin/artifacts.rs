use axum::http::Method;
use otter_protocol::admin::StoredArtifact;
use otter_protocol::{ProblemCode, Sha256Digest};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::common::{Answer, eventually, on_each_database};

fn path(bytes: &[u8]) -> String {
    format!("/api/v1/artifacts/{}", Sha256Digest::of(bytes))
}

on_each_database! {
    async fn what_was_uploaded_is_known(app: TestApp) {
        let bytes = b"some bytes";
        app.viewer().get(&path(bytes)).await.problem(ProblemCode::NotFound);
        let stored: StoredArtifact = app.operator().put_bytes(&path(bytes), bytes).await.expect(201);
        assert_eq!(stored, StoredArtifact { sha256: Sha256Digest::of(bytes), size: 10 });
        let known: StoredArtifact = app.viewer().get(&path(bytes)).await.expect(200);
        assert_eq!(known, stored);
        app.operator().put_bytes(&path(bytes), bytes).await.expect_status(200);
        assert_eq!(app.stored_files().len(), 1);
    }
}

on_each_database! {
    async fn bytes_that_differ_from_their_name_are_not_kept(app: TestApp) {
        let events = app.events().await;
        let answer = app.operator().put_bytes(&path(b"these bytes"), "other bytes").await;
        answer.problem(ProblemCode::DigestMismatch);
        app.viewer().get(&path(b"these bytes")).await.problem(ProblemCode::NotFound);
        assert!(app.stored_files().is_empty());
        assert_eq!(app.events().await, events);
    }
}

on_each_database! {
    async fn an_upload_over_the_limit_is_refused(app: TestApp) {
        let bytes = vec![7; (1 << 20) + 1];
        app.operator().put_bytes(&path(&bytes), bytes.clone()).await.problem(ProblemCode::TooLarge);
        // Without a length, only the bytes themselves tell.
        let chunks: Vec<_> = bytes.chunks(64 << 10).map(|chunk| Ok::<_, std::io::Error>(chunk.to_vec())).collect();
        let body = reqwest::Body::wrap_stream(futures::stream::iter(chunks));
        let request = app.operator().request(Method::PUT, &path(&bytes)).body(body);
        Answer::of(request.send().await.unwrap()).await.problem(ProblemCode::TooLarge);
        assert!(app.stored_files().is_empty());
        app.viewer().get(&path(&bytes)).await.problem(ProblemCode::NotFound);
    }
}

on_each_database! {
    async fn an_upload_that_is_cut_off_leaves_nothing(app: TestApp) {
        let bytes = vec![9; 500_000];
        let key = app.operator().secret.unwrap();
        let head = format!(
            "PUT {} HTTP/1.1\r\nHost: otter\r\nAuthorization: Bearer {key}\r\nContent-Length: 500000\r\n\r\n",
            path(&bytes)
        );
        let mut connection = TcpStream::connect(app.address).await.unwrap();
        connection.write_all(head.as_bytes()).await.unwrap();
        connection.write_all(&bytes[..200_000]).await.unwrap();
        eventually("the upload's beginning", async || (!app.stored_files().is_empty()).then_some(())).await;
        connection.shutdown().await.unwrap();
        let mut answer = Vec::new();
        let _ = connection.read_to_end(&mut answer).await;
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
        eventually("the end of what was cut off", async || app.stored_files().is_empty().then_some(())).await;
        app.viewer().get(&path(&bytes)).await.problem(ProblemCode::NotFound);
        app.operator().put_bytes(&path(&bytes), bytes.clone()).await.expect_status(201);
    }
}
