//! One's own account: the password, the second factor, and where one is logged in.

use leptos::prelude::*;
use otter_protocol::admin::OpenSession;
use serde::{Deserialize, Serialize};

use super::ApiError;
use super::settings::Secret;
#[cfg(feature = "ssr")]
use super::settings::take_secret;

/// What the account's page shows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct MyAccount {
    /// The name to log in with.
    pub(crate) name: String,
    /// Where the person is logged in, the latest first.
    pub(crate) sessions: Vec<OpenSession>,
    /// How many recovery codes are left; none without a second factor.
    pub(crate) recovery_codes: Option<u64>,
    /// What an authenticator is being set up with.
    pub(crate) offer: Option<Offer>,
    /// Whether the person showed a moment ago that it is he.
    pub(crate) is_recent: bool,
    /// Recovery codes that a plain form made just now.
    pub(crate) made: Option<Secret>,
}

/// What an authenticator is set up with.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Offer {
    /// The secret, in groups of four letters, to type in.
    pub(crate) secret: String,
    /// The picture's dark squares, as an SVG path, a unit each.
    pub(crate) squares: String,
    /// The picture's size with its border, in squares.
    pub(crate) size: i32,
}

impl std::fmt::Debug for Offer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Offer(secret)")
    }
}

/// Returns what the account's page shows.
#[server(prefix = "/ui", endpoint = "account", input = leptos::server_fn::codec::GetUrl)]
pub(crate) async fn get_account() -> Result<MyAccount, ApiError> {
    use super::auth;
    let caller = auth::viewer().await?;
    let (fleet, person) = (&caller.fleet, &caller.person);
    let is_recent = auth::is_recent().await?;
    let offered = match is_recent {
        true => fleet.offered_second_factor(person).await?,
        false => None,
    };
    let session = auth::session_id().await?;
    Ok(MyAccount {
        sessions: fleet.sessions_of(person.id, session.as_deref()).await?,
        recovery_codes: fleet.recovery_codes_left(person).await?,
        offer: offered.map(picture).transpose()?,
        is_recent,
        made: take_secret(),
        name: caller.person.name,
    })
}

/// Changes one's own password; every session ends, and this browser gets a new one.
#[server(prefix = "/ui", endpoint = "change-password")]
pub(crate) async fn change_password(current: String, new: String) -> Result<(), ApiError> {
    use super::auth;
    let caller = auth::viewer().await?;
    caller
        .fleet
        .change_password(&caller.person, &current, &new, &auth::address())
        .await
        .map_err(|error| auth::fail(error.into()))?;
    auth::begin_session(&caller.person).await
}

/// Ends one of one's own sessions.
#[server(prefix = "/ui", endpoint = "end-session")]
pub(crate) async fn end_session(id: String) -> Result<(), ApiError> {
    use super::auth;
    let caller = auth::recent_viewer().await?;
    let ended = caller
        .fleet
        .end_session_of(&caller.actor, &caller.person, &id);
    ended.await.map_err(|error| auth::fail(error.into()))
}

/// Ends all of one's own sessions but this one.
#[server(prefix = "/ui", endpoint = "end-other-sessions")]
pub(crate) async fn end_other_sessions() -> Result<(), ApiError> {
    use super::auth;
    let caller = auth::recent_viewer().await?;
    let keep = auth::session_id().await?;
    let ended = caller
        .fleet
        .end_sessions_of(&caller.actor, &caller.person, keep.as_deref());
    ended.await.map_err(|error| auth::fail(error.into()))?;
    Ok(())
}

/// Begins to set up a second factor.
#[server(prefix = "/ui", endpoint = "offer-factor")]
pub(crate) async fn offer_factor() -> Result<(), ApiError> {
    use super::auth;
    let caller = auth::recent_viewer().await?;
    let offered = caller.fleet.offer_second_factor(&caller.person).await;
    offered.map_err(|error| auth::fail(error.into()))?;
    Ok(())
}

/// Takes the second factor that is set up, by a code that it shows; returns recovery codes.
#[server(prefix = "/ui", endpoint = "take-factor")]
pub(crate) async fn take_factor(code: String) -> Result<Secret, ApiError> {
    use super::auth;
    let caller = auth::recent_viewer().await?;
    let keep = auth::session_id().await?;
    let codes = caller
        .fleet
        .take_second_factor(&caller.person, &code, keep.as_deref())
        .await
        .map_err(|error| auth::fail(error.into()))?;
    Ok(recovery_codes(&codes))
}

/// Removes one's own second factor.
#[server(prefix = "/ui", endpoint = "remove-factor")]
pub(crate) async fn remove_factor() -> Result<(), ApiError> {
    use super::auth;
    let caller = auth::recent_viewer().await?;
    let removed = caller
        .fleet
        .remove_second_factor(&caller.actor, caller.person.id);
    removed.await.map_err(|error| auth::fail(error.into()))
}

/// Makes new recovery codes in place of those from before.
#[server(prefix = "/ui", endpoint = "renew-recovery-codes")]
pub(crate) async fn renew_recovery_codes() -> Result<Secret, ApiError> {
    use super::auth;
    let caller = auth::recent_viewer().await?;
    let codes = caller
        .fleet
        .renew_recovery_codes(&caller.person)
        .await
        .map_err(|error| auth::fail(error.into()))?;
    Ok(recovery_codes(&codes))
}

#[cfg(feature = "ssr")]
fn recovery_codes(codes: &[String]) -> Secret {
    super::settings::hand_over(Secret {
        name: "Recovery codes".to_owned(),
        // A dot, because it also travels in a cookie.
        text: codes.join("."),
    })
}

/// Draws the address that authenticators read.
#[cfg(feature = "ssr")]
fn picture(offer: otter_fleet::FactorOffer) -> Result<Offer, ApiError> {
    use qrcodegen::{QrCode, QrCodeEcc};
    /// The quiet zone that readers need, in squares (ISO/IEC 18004).
    const BORDER: i32 = 4;
    let code = QrCode::encode_text(&offer.address, QrCodeEcc::Medium).map_err(|_| {
        ApiError::new(
            otter_protocol::ProblemCode::Internal,
            "The name is too long for a picture.",
        )
    })?;
    let mut squares = String::new();
    for y in 0..code.size() {
        for x in (0..code.size()).filter(|x| code.get_module(*x, y)) {
            squares.push_str(&format!("M{},{}h1v1h-1z", x + BORDER, y + BORDER));
        }
    }
    let letters: Vec<char> = offer.secret.chars().collect();
    let groups: Vec<String> = letters
        .chunks(4)
        .map(|group| group.iter().collect())
        .collect();
    Ok(Offer {
        secret: groups.join(" "),
        squares,
        size: code.size() + 2 * BORDER,
    })
}
