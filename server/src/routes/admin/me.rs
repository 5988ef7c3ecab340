//! Who is asking.

use axum::Json as Answer;
use otter_protocol::admin::Me;

use crate::extract::Viewer;

/// Tells the caller who he is and what he may do.
#[utoipa::path(get, path = "/api/v1/me", tag = "People", operation_id = "me",
    responses((status = 200, description = "The caller", body = Me)))]
pub(crate) async fn me(caller: Viewer) -> Answer<Me> {
    Answer(caller.me)
}
