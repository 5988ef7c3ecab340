//! The description of both APIs, made from the handlers' own.

use otter_protocol::Problem;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{
    ContentBuilder, Info, ObjectBuilder, OpenApi, Ref, RefOr, Response, ResponseBuilder, Schema,
    SecurityRequirement, Type,
};
use utoipa::{PartialSchema as _, ToSchema as _};

use crate::failure::MEDIA_TYPE;
use crate::sessions::COOKIE;

/// Names of the ways to say who one is.
const DEVICE_TOKEN: &str = "device_token";
const API_KEY: &str = "api_key";
const SESSION: &str = "session";
const PLAIN_KEY: &str = "plain_api_key";

/// Addresses that ask nobody who he is.
const PUBLIC: [&str; 4] = [
    "/health",
    "/api/openapi.json",
    "/device/v1/enroll",
    "/device/v1/trust/{name}",
];

/// Completes what the handlers say: who may ask, and that every failure is a problem document.
pub fn complete(mut api: OpenApi) -> OpenApi {
    api.info = Info::new("Otter", env!("CARGO_PKG_VERSION"));
    api.info.description = Some("Over-the-air updates: the device API and the admin API.".into());
    let components = api.components.get_or_insert_default();
    components
        .schemas
        .insert(Problem::name().into_owned(), Problem::schema());
    let mut nested = Vec::new();
    Problem::schemas(&mut nested);
    components.schemas.extend(nested);
    components.add_security_scheme(DEVICE_TOKEN, bearer("A device's token, got at enrollment"));
    components.add_security_scheme(API_KEY, bearer("A key for programs"));
    let cookie = ApiKey::Cookie(ApiKeyValue::with_description(
        COOKIE,
        "A person who is logged in; over TLS `__Host-` stands before the name; changes need Sec-Fetch-Site or Origin to be this server's",
    ));
    let header = ApiKey::Header(ApiKeyValue::with_description(
        "X-API-Key",
        "A key for programs, as the plain firmware API shows it",
    ));
    components.add_security_scheme(PLAIN_KEY, SecurityScheme::ApiKey(header));
    components.add_security_scheme(SESSION, SecurityScheme::ApiKey(cookie));
    for (path, item) in &mut api.paths.paths {
        let security = security(path);
        for operation in operations(item) {
            operation.security = Some(security.clone());
            let responses = &mut operation.responses.responses;
            let failure = if is_plain(path) {
                plain_failure()
            } else {
                problem()
            };
            responses.insert("default".to_owned(), RefOr::T(failure));
        }
    }
    api
}

fn bearer(description: &str) -> SecurityScheme {
    let http = HttpBuilder::new().scheme(HttpAuthScheme::Bearer);
    SecurityScheme::Http(http.description(Some(description)).build())
}

fn security(path: &str) -> Vec<SecurityRequirement> {
    let needs = |name: &str| SecurityRequirement::new(name, Vec::<String>::new());
    if PUBLIC.contains(&path) {
        Vec::new()
    } else if path.starts_with("/api/admin/") || path == "/metrics" {
        vec![needs(PLAIN_KEY)]
    } else if is_plain(path) {
        // A device shows its token where it has one, or where the server asks for one.
        vec![SecurityRequirement::default(), needs(DEVICE_TOKEN)]
    } else if path.starts_with("/device/") {
        vec![needs(DEVICE_TOKEN)]
    } else {
        vec![needs(API_KEY), needs(SESSION)]
    }
}

/// Tells whether an address is the plain firmware API's, which has failures of its own.
fn is_plain(path: &str) -> bool {
    let roots = ["/api/firmware/", "/api/device/", "/api/admin/"];
    path == "/metrics" || roots.iter().any(|root| path.starts_with(root))
}

fn plain_failure() -> Response {
    let detail = ObjectBuilder::new()
        .property("detail", ObjectBuilder::new().schema_type(Type::String))
        .required("detail");
    let content = ContentBuilder::new()
        .schema(Some(RefOr::T(Schema::Object(detail.build()))))
        .build();
    ResponseBuilder::new()
        .description("A failure: what happened, and what to do")
        .content("application/json", content)
        .build()
}

fn problem() -> Response {
    let schema = Ref::from_schema_name(Problem::name());
    let content = ContentBuilder::new().schema(Some(schema)).build();
    ResponseBuilder::new()
        .description("A failure, as a problem document (RFC 9457)")
        .content(MEDIA_TYPE, content)
        .build()
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    let PathItem {
        get,
        put,
        post,
        delete,
        patch,
        head,
        ..
    } = item;
    [get, put, post, delete, patch, head].into_iter().flatten()
}
