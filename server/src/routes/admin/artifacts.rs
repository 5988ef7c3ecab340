//! Uploads: bytes are hashed as they come, and kept only if they are what was named.

use std::time::Duration;

use axum::Json as Answer;
use axum::body::{Body, BodyDataStream};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use futures::StreamExt as _;
use otter_fleet::Upload;
use otter_protocol::admin::StoredArtifact;
use otter_protocol::{ProblemCode, Sha256Digest};

use crate::body;
use crate::extract::{Operator, Path, Scoped, Viewer};
use crate::failure::{Failure, Result};
use crate::server::Server;

/// How long an upload may stand still.
const PATIENCE: Duration = Duration::from_secs(60);

/// Stores bytes under their SHA-256, as they come; give a `Content-Length`, so that what is too large is refused at once.
#[utoipa::path(put, path = "/api/v1/artifacts/{sha256}", tag = "Releases", operation_id = "put_artifact",
    params(("sha256" = Sha256Digest, Path, description = "Names the bytes")),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses(
        (status = 201, description = "Stored", body = StoredArtifact),
        (status = 200, description = "Was stored before", body = StoredArtifact),
    ))]
pub(crate) async fn put(
    Scoped(caller, _): Scoped<Operator>,
    State(server): State<Server>,
    Path(sha256): Path<Sha256Digest>,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Answer<StoredArtifact>)> {
    let fleet = server.fleet();
    let mut stream = body.into_data_stream();
    let status = match fleet.artifact(sha256).await? {
        Some(_) => StatusCode::OK,
        None => StatusCode::CREATED,
    };
    let length = body::content_length(&headers);
    let stored = match fleet
        .begin_upload(&caller.actor, Some(sha256), length)
        .await
    {
        Ok(upload) => receive(upload, &mut stream).await,
        Err(error) => Err(error.into()),
    };
    if stored.is_err() {
        body::drain(&headers, &mut stream).await;
    }
    Ok((status, Answer(stored?)))
}

/// Takes what comes; an upload that ends early is dropped, and leaves nothing.
async fn receive(mut upload: Upload, stream: &mut BodyDataStream) -> Result<StoredArtifact> {
    loop {
        let next = tokio::time::timeout(PATIENCE, stream.next())
            .await
            .map_err(|_| stalled())?;
        match next {
            Some(Ok(chunk)) => upload.write(&chunk).await?,
            Some(Err(error)) => return Err(body::cut_off(&error)),
            None => return Ok(upload.finish().await?),
        }
    }
}

fn stalled() -> Failure {
    Failure::body(format!(
        "Nothing came for {} seconds; send the artifact again.",
        PATIENCE.as_secs()
    ))
}

/// Tells whether the store has an artifact, so that it needn't be sent again.
#[utoipa::path(get, path = "/api/v1/artifacts/{sha256}", tag = "Releases", operation_id = "get_stored_artifact",
    params(("sha256" = Sha256Digest, Path, description = "Names the bytes")),
    responses((status = 200, description = "The store has it", body = StoredArtifact)))]
pub(crate) async fn get(
    _: Scoped<Viewer>,
    State(server): State<Server>,
    Path(sha256): Path<Sha256Digest>,
) -> Result<Answer<StoredArtifact>> {
    let stored = server.fleet().artifact(sha256).await?;
    stored.map(Answer).ok_or_else(|| {
        let detail = format!("The store has no artifact {sha256}; upload it.");
        Failure::new(ProblemCode::NotFound, detail)
    })
}
