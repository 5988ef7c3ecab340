//! Whom this dialect believes: devices by their name, or by their token; publishers by the key in `X-API-Key`.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{Extensions, HeaderMap};
use otter_fleet::{Actor, KnownDevice};
use otter_protocol::admin::Role;
use otter_protocol::{DeviceId, Model, ProblemCode, Version};

use super::failure::Plain;
use crate::config::FirmwareAuth;
use crate::extract::{Device, client};
use crate::failure::Failure;
use crate::server::Server;

/// The header with a publisher's key.
const KEY: &str = "x-api-key";

/// A caller who may upload and roll out.
pub(crate) struct Publisher {
    /// Whom the audit log names.
    pub(crate) actor: Actor,
}

/// A caller who may look: one with any key, or everybody where the server is told so.
pub(crate) struct Reader;

impl FromRequestParts<Server> for Publisher {
    type Rejection = Plain;

    async fn from_request_parts(parts: &mut Parts, server: &Server) -> Result<Self, Plain> {
        let actor = by_key(&parts.headers, server, Role::Operator).await?;
        Ok(Self { actor })
    }
}

impl FromRequestParts<Server> for Reader {
    type Rejection = Plain;

    async fn from_request_parts(parts: &mut Parts, server: &Server) -> Result<Self, Plain> {
        if !server.firmware_api().open_reads {
            by_key(&parts.headers, server, Role::Viewer).await?;
        }
        Ok(Self)
    }
}

async fn by_key(headers: &HeaderMap, server: &Server, needed: Role) -> Result<Actor, Plain> {
    check_is_on(server)?;
    let secret = headers.get(KEY).and_then(|value| value.to_str().ok());
    let invalid = || Plain::new(ProblemCode::Unauthenticated, "Invalid API key");
    let caller = server
        .fleet()
        .api_caller(secret.ok_or_else(invalid)?)
        .await
        .map_err(|error| match error {
            otter_fleet::Error::Problem(problem)
                if problem.code == ProblemCode::Unauthenticated =>
            {
                invalid()
            }
            other => other.into(),
        })?;
    if caller.role < needed {
        let detail = format!(
            "This needs the role {}; the key is {}'s.",
            needed.as_str(),
            caller.role.as_str()
        );
        return Err(Plain::new(ProblemCode::Forbidden, detail));
    }
    if !caller.scope.is_everything() {
        let detail = format!(
            "The key {} reaches {} only, and this API concerns the whole fleet. It takes a key without a scope.",
            caller.name, caller.scope
        );
        return Err(Plain::new(ProblemCode::Forbidden, detail));
    }
    Ok(Actor::Key(caller.name))
}

fn check_is_on(server: &Server) -> Result<(), Plain> {
    if server.firmware_api().auth == FirmwareAuth::Off {
        let detail = "The plain firmware API is switched off here (OTTER_FIRMWARE_API_AUTH).";
        return Err(Plain::new(ProblemCode::NotFound, detail));
    }
    Ok(())
}

/// What a device shows of itself beside its name.
pub(crate) struct Shown {
    /// The device whose token came along; it was counted against its limit.
    proven: Option<Arc<KnownDevice>>,
    extensions: Extensions,
}

impl FromRequestParts<Server> for Shown {
    type Rejection = Plain;

    async fn from_request_parts(parts: &mut Parts, server: &Server) -> Result<Self, Plain> {
        check_is_on(server)?;
        let needs_token = server.firmware_api().auth == FirmwareAuth::Token;
        let shows_token = parts
            .headers
            .contains_key(axum::http::header::AUTHORIZATION);
        let proven = if needs_token || shows_token {
            Some(Device::from_request_parts(parts, server).await?.0)
        } else {
            None
        };
        Ok(Self {
            proven,
            extensions: parts.extensions.clone(),
        })
    }
}

impl Shown {
    /// Finds the device of a name that may be spoken for so; `None` where nobody has that name.
    pub(crate) async fn device(
        &self,
        server: &Server,
        id: &DeviceId,
    ) -> Result<Option<Arc<KnownDevice>>, Plain> {
        if let Some(proven) = &self.proven {
            if proven.device.id == *id {
                return Ok(Some(proven.clone()));
            }
            let detail = "The token is another device's.";
            return Err(Plain::new(ProblemCode::Forbidden, detail));
        }
        let Some(known) = server.fleet().device_by_name(id).await? else {
            return Ok(None);
        };
        if known.proves_itself {
            let detail = format!(
                "The device `{id}` has a token of its own; show it: Authorization: Bearer otd_…"
            );
            return Err(Plain::new(ProblemCode::Unauthenticated, detail));
        }
        server.limits().count(&known)?;
        Ok(Some(known))
    }

    /// Finds the device of a name, or registers it at first sight.
    pub(crate) async fn device_or_new(
        &self,
        server: &Server,
        id: &DeviceId,
        model: &Model,
        version: &Version,
    ) -> Result<Arc<KnownDevice>, Plain> {
        if let Some(known) = self.device(server, id).await? {
            return Ok(known);
        }
        let limits = server.limits();
        limits.count_enrollment(client(&self.extensions), id)?;
        let fleet = server.fleet();
        let known = fleet.register_firmware_device(id, model, version).await?;
        limits.count(&known)?;
        Ok(known)
    }

    /// Counts a request that names no device, where no token names it either.
    pub(crate) fn count_nameless(&self, server: &Server) -> Result<(), Failure> {
        match &self.proven {
            Some(_) => Ok(()),
            None => server.limits().count_nameless(client(&self.extensions)),
        }
    }
}
