//! Every address that the server knows.
//!
//! Devices' calls pass through nothing but the router: what people's calls need (sessions, same origin, compression) is laid
//! around those alone.

use std::time::Duration;

use axum::Json;
use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{any, get};
use otter_protocol::ProblemCode;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::failure::{self, Failure};
use crate::page_headers;
use crate::routes::admin::{
    api_keys, artifacts, attempts, audit, audit_download, comparison, device_keys, devices,
    enrollment_tokens, groups, import, live, me, overview, people, preview, releases, rollouts,
    templates, trust, webhooks,
};
use crate::routes::{device, firmware, health};
use crate::same_origin;
use crate::server::Server;
use crate::sessions;
use crate::{dashboard, openapi};

/// How long a call of the admin API may take; uploads and live streams take theirs.
const PATIENCE: Duration = Duration::from_secs(60);

/// Makes the whole server's router.
pub fn router(server: Server) -> Router {
    let (device, device_api) = device_api().split_for_parts();
    let (admin, mut api) = admin_api(&server).split_for_parts();
    let (firmware, firmware_api) = firmware_api().split_for_parts();
    api.merge(device_api);
    api.merge(firmware_api);
    let description = Json(openapi::complete(api));
    let description = get(async move || description);
    Router::new()
        .route("/api/openapi.json", description)
        .merge(device)
        .merge(admin)
        .merge(firmware)
        .merge(unknown_calls())
        .method_not_allowed_fallback(failure::no_such_method)
        .merge(dashboard::router(&server))
        .layer(CatchPanicLayer::custom(failure::panicked))
        .with_state(server)
}

/// Whatever else lies below the APIs: no page, although pages take every address that is left.
fn unknown_calls() -> Router<Server> {
    let roots = ["/api", "/device"];
    roots.into_iter().fold(Router::new(), |router, root| {
        router
            .route(root, any(failure::no_such_address))
            .route(&format!("{root}/"), any(failure::no_such_address))
            .route(&format!("{root}/{{*rest}}"), any(failure::no_such_address))
    })
}

fn device_api() -> OpenApiRouter<Server> {
    OpenApiRouter::new()
        .routes(routes!(device::enroll::enroll))
        .routes(routes!(device::rotate::rotate))
        .routes(routes!(device::check_in::check_in))
        .routes(routes!(device::artifacts::get_artifact))
        .routes(routes!(device::attempts::report))
        .routes(routes!(device::attempts::put_log))
        .routes(routes!(device::trust::get_metadata))
        .routes(routes!(health::health))
}

/// The plain firmware API. Nobody is known by a cookie in it, so that no page can do anything by it.
fn firmware_api() -> OpenApiRouter<Server> {
    OpenApiRouter::new()
        .routes(routes!(firmware::rollout::create))
        .routes(routes!(firmware::lists::releases))
        .routes(routes!(firmware::lists::devices))
        .routes(routes!(firmware::lists::updates))
        .routes(routes!(firmware::metrics::metrics))
        .layer(from_fn(in_time))
        .routes(routes!(firmware::upload::upload))
        .layer(DefaultBodyLimit::disable())
        .routes(routes!(firmware::check::check))
        .routes(routes!(firmware::download::download))
        .routes(routes!(firmware::report::report))
}

fn admin_api(server: &Server) -> OpenApiRouter<Server> {
    brief_calls()
        .layer(from_fn(in_time))
        .routes(routes!(artifacts::put, artifacts::get))
        .routes(routes!(live::live))
        .layer(CompressionLayer::new())
        .layer(sessions::layer(server.fleet(), server.public_url()))
        .layer(from_fn_with_state(server.clone(), same_origin::api))
        .layer(from_fn_with_state(server.clone(), page_headers::add))
}

fn brief_calls() -> OpenApiRouter<Server> {
    OpenApiRouter::new()
        .routes(routes!(me::me))
        .routes(routes!(me::change_password))
        .routes(routes!(me::sessions, me::end_sessions))
        .routes(routes!(me::end_session))
        .routes(routes!(people::list, people::invite))
        .routes(routes!(people::change))
        .routes(routes!(people::make_link))
        .routes(routes!(people::end_sessions))
        .routes(routes!(people::remove_second_factor))
        .routes(routes!(overview::overview))
        .routes(routes!(devices::list))
        .routes(routes!(import::import))
        .routes(routes!(devices::get, devices::patch))
        .routes(routes!(device_keys::waiting))
        .routes(routes!(device_keys::accept))
        .routes(routes!(device_keys::reject))
        .routes(routes!(device_keys::accept_many))
        .routes(routes!(device_keys::reject_many))
        .routes(routes!(devices::revoke))
        .routes(routes!(devices::decommission))
        .routes(routes!(attempts::get_log))
        .routes(routes!(groups::list))
        .routes(routes!(groups::put, groups::delete))
        .routes(routes!(releases::list, releases::create))
        .routes(routes!(comparison::compare))
        .routes(routes!(comparison::recommended))
        .routes(routes!(releases::get))
        .routes(routes!(releases::withdraw))
        .routes(routes!(rollouts::list, rollouts::create))
        .routes(routes!(rollouts::get, rollouts::update))
        .routes(routes!(preview::preview_new))
        .routes(routes!(preview::preview))
        .routes(routes!(rollouts::start))
        .routes(routes!(rollouts::approve))
        .routes(routes!(rollouts::pause))
        .routes(routes!(rollouts::resume))
        .routes(routes!(rollouts::approve_gate))
        .routes(routes!(rollouts::skip_gate))
        .routes(routes!(rollouts::abort))
        .routes(routes!(rollouts::roll_back))
        .routes(routes!(rollouts::retry_failed))
        .routes(routes!(templates::list))
        .routes(routes!(templates::get, templates::put, templates::delete))
        .routes(routes!(audit::list))
        .routes(routes!(audit::verify))
        .routes(routes!(audit::export))
        .routes(routes!(audit_download::download))
        .routes(routes!(enrollment_tokens::list, enrollment_tokens::create))
        .routes(routes!(enrollment_tokens::revoke))
        .routes(routes!(api_keys::list, api_keys::create))
        .routes(routes!(api_keys::revoke))
        .routes(routes!(trust::status))
        .routes(routes!(trust::online_keys))
        .routes(routes!(trust::put_root))
        .routes(routes!(trust::put_targets))
        .routes(routes!(webhooks::list, webhooks::create))
        .routes(routes!(webhooks::change, webhooks::delete))
        .routes(routes!(webhooks::rotate))
        .routes(routes!(webhooks::test))
        .routes(routes!(webhooks::deliveries))
        .routes(routes!(webhooks::redeliver))
}

/// Ends calls that take too long.
async fn in_time(request: Request, next: Next) -> Response {
    let answer = tokio::time::timeout(PATIENCE, next.run(request)).await;
    answer.unwrap_or_else(|_| {
        let detail = format!(
            "This took more than {} seconds; try again.",
            PATIENCE.as_secs()
        );
        Failure::new(ProblemCode::Unavailable, detail).into_response()
    })
}
