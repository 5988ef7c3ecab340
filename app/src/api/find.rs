//! Whatever has a name, by a part of it.

use leptos::prelude::*;
use otter_protocol::admin::Found;

use super::ApiError;

/// Returns the devices, releases, rollouts and groups that have a text in their names.
#[server(prefix = "/ui", endpoint = "find", input = leptos::server_fn::codec::GetUrl)]
pub(crate) async fn find(#[server(default)] text: String) -> Result<Found, ApiError> {
    Ok(super::auth::viewer().await?.fleet.find(&text).await?)
}
