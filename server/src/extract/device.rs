//! The device that asks, known by its token, or by a certificate that was verified on the way.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::Extensions;
use axum::http::request::Parts;
use otter_fleet::KnownDevice;
use otter_protocol::{ProblemCode, Sha256Digest};

use super::bearer::bearer;
use crate::device_certificate::Certified;
use crate::failure::Failure;
use crate::server::Server;

/// The device that asks.
pub(crate) struct Device(pub(crate) Arc<KnownDevice>);

impl FromRequestParts<Server> for Device {
    type Rejection = Failure;

    async fn from_request_parts(
        parts: &mut Parts,
        server: &Server,
    ) -> Result<Self, Self::Rejection> {
        let certified = parts.extensions.get::<Certified>();
        if let Some(Certified::Refused(why)) = certified {
            return Err(Failure::new(ProblemCode::Forbidden, *why));
        }
        let certified = certified.and_then(|certified| match certified {
            Certified::Device(id) => Some(id),
            Certified::Refused(_) => None,
        });
        let known = match (bearer(&parts.headers)?, certified) {
            (Some(token), _) => by_token(server, &parts.extensions, token).await?,
            (None, Some(id)) => server.fleet().device_by_certificate(id).await?,
            (None, None) => {
                let detail = "A device must show its token: Authorization: Bearer otd_…";
                return Err(Failure::new(ProblemCode::Unauthenticated, detail));
            }
        };
        if certified.is_some_and(|id| *id != known.device.id) {
            let detail = "The token is another device's than the certificate.";
            return Err(Failure::new(ProblemCode::Forbidden, detail));
        }
        server.limits().count(&known)?;
        Ok(Self(known))
    }
}

/// Finds a device by its token: in memory, or in the database, as often as limits let anybody ask there.
async fn by_token(
    server: &Server,
    extensions: &Extensions,
    token: &str,
) -> Result<Arc<KnownDevice>, Failure> {
    let hash = Sha256Digest::of(token.as_bytes());
    if let Some(known) = server.fleet().device_in_memory(&hash) {
        return Ok(known);
    }
    let client = client(extensions);
    let _turn = server.limits().look_up(client, &hash).await?;
    let found = server.fleet().device_by_token(token).await;
    if let Err(otter_fleet::Error::Problem(problem)) = &found
        && problem.code == ProblemCode::Unauthenticated
    {
        server.limits().was_nobodys(client, hash);
    }
    Ok(found?)
}

/// The address that a request comes from; every connection is given one.
pub(crate) fn client(extensions: &Extensions) -> IpAddr {
    let client = extensions.get::<ConnectInfo<SocketAddr>>();
    client.map_or(Ipv6Addr::UNSPECIFIED.into(), |client| client.0.ip())
}
