//! The dashboard's pages and server functions, inside the server.

use axum::Router;
use axum::body::Body;
use axum::extract::{FromRef as _, Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse as _, Response};
use leptos::config::LeptosOptions;
use leptos::context::{provide_context, use_context};
use leptos::nonce::use_nonce;
use leptos_axum::{
    LeptosRoutes as _, ResponseOptions, generate_route_list, render_app_to_stream_with_context,
};
use otter_app::Site;
use tower_http::compression::CompressionLayer;
use tower_http::limit::RequestBodyLimitLayer;

use crate::failure::{self, no_such_address};
use crate::page_headers;
use crate::same_origin;
use crate::server::Server;
use crate::sessions;
use crate::site;

/// Most bytes of a form or of a server function's call; artifacts go through the admin API.
const BODY_LIMIT: usize = 1 << 20;

/// Routes for pages, server functions, files, and whatever no route knows.
pub(crate) fn router(server: &Server) -> Router<Server> {
    let pages = LeptosOptions::from_ref(server);
    let routes = generate_route_list(otter_app::App);
    Router::new()
        .leptos_routes_with_context(server, routes, context(server), move || {
            otter_app::shell(pages.clone())
        })
        .fallback(unknown)
        .layer(CompressionLayer::new())
        .layer(RequestBodyLimitLayer::new(BODY_LIMIT))
        .merge(site::router())
        .method_not_allowed_fallback(failure::no_such_method)
        .layer(sessions::layer(server.fleet(), server.public_url()))
        .layer(from_fn_with_state(server.clone(), same_origin::pages))
        .layer(from_fn_with_state(server.clone(), page_headers::add))
}

/// What every page and server function finds in its context: the fleet, its address, and a policy around its nonce.
fn context(server: &Server) -> impl Fn() + Clone + Send + Sync + 'static {
    let fleet = server.fleet().clone();
    let site = Site::new(server.public_url().as_str());
    move || {
        provide_context(fleet.clone());
        provide_context(site.clone());
        if let (Some(nonce), Some(response)) = (use_nonce(), use_context::<ResponseOptions>()) {
            let policy = page_headers::content_security_policy(&nonce);
            if let Ok(value) = HeaderValue::from_str(&policy) {
                response.insert_header(header::CONTENT_SECURITY_POLICY, value);
            }
        }
    }
}

/// Answers where no route is, with a page that says so.
async fn unknown(State(server): State<Server>, request: Request) -> Response {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return no_such_address(request.uri().clone()).await.into_response();
    }
    let pages = LeptosOptions::from_ref(&server);
    let render = render_app_to_stream_with_context(context(&server), move || {
        otter_app::shell(pages.clone())
    });
    let mut response: Response<Body> = render(request).await.into_response();
    if response.status() == StatusCode::OK {
        *response.status_mut() = StatusCode::NOT_FOUND;
    }
    response
}
