//! People's sessions, kept by the fleet.

use async_trait::async_trait;
use otter_app::Site;
pub use otter_app::session_keys::{ADDRESS, AGENT, AUTHENTICATED_AT, RECENT_SEC, USER_ID};
use otter_fleet::{Fleet, SESSION_LIFE_SEC, StoredSession};
use otter_protocol::Timestamp;
use tower_sessions::cookie::SameSite;
use tower_sessions::cookie::time::{Duration, OffsetDateTime};
use tower_sessions::session::{Id, Record};
use tower_sessions::session_store::{Error, Result, SessionStore};
use tower_sessions::{Expiry, SessionManagerLayer};
use url::Url;

/// The cookie's name; over TLS, `__Host-` stands before it.
pub const COOKIE: &str = "otter_session";

/// How often a new session's id is drawn again where it is taken.
const TRIES: u32 = 3;

/// Makes the layer that reads and writes sessions; the cookie goes over TLS only, where the server is reached so.
///
/// When a session ends is the fleet's to say; the cookie lasts as long as a session can.
pub fn layer(fleet: &Fleet, public_url: &Url) -> SessionManagerLayer<Sessions> {
    let life = Duration::seconds(SESSION_LIFE_SEC.try_into().unwrap_or(i64::MAX));
    SessionManagerLayer::new(Sessions::new(fleet.clone()))
        .with_name(cookie_name(public_url))
        .with_http_only(true)
        .with_same_site(SameSite::Lax)
        .with_secure(is_secure(public_url))
        .with_expiry(Expiry::OnInactivity(life))
}

/// Returns the cookie's full name where the server is reached under this address.
pub fn cookie_name(public_url: &Url) -> String {
    Site::new(public_url.as_str()).cookie_name(COOKIE)
}

/// Tells whether browsers reach the server over TLS.
pub(crate) fn is_secure(public_url: &Url) -> bool {
    public_url.scheme() == "https"
}

/// Sessions in the fleet's database.
#[derive(Debug, Clone)]
pub struct Sessions(Fleet);

impl Sessions {
    /// Keeps sessions in this fleet.
    pub fn new(fleet: Fleet) -> Self {
        Self(fleet)
    }
}

#[async_trait]
impl SessionStore for Sessions {
    async fn create(&self, record: &mut Record) -> Result<()> {
        for _ in 0..TRIES {
            if self
                .0
                .create_session(&stored(record)?)
                .await
                .map_err(backend)?
            {
                return Ok(());
            }
            record.id = Id::default();
        }
        Err(Error::Backend("every new session id is taken".to_owned()))
    }

    async fn save(&self, record: &Record) -> Result<()> {
        self.0.save_session(&stored(record)?).await.map_err(backend)
    }

    async fn load(&self, id: &Id) -> Result<Option<Record>> {
        let session = self
            .0
            .load_session(&id.to_string())
            .await
            .map_err(backend)?;
        session.map(|session| loaded(*id, &session)).transpose()
    }

    async fn delete(&self, id: &Id) -> Result<()> {
        self.0
            .delete_session(&id.to_string())
            .await
            .map_err(backend)
    }
}

fn stored(record: &Record) -> Result<StoredSession> {
    let data =
        serde_json::to_string(&record.data).map_err(|error| Error::Encode(error.to_string()))?;
    let text = |key| record.data.get(key)?.as_str().map(str::to_owned);
    let millis = record.expiry_date.unix_timestamp_nanos() / 1_000_000;
    Ok(StoredSession {
        id: record.id.to_string(),
        user_id: record.data.get(USER_ID).and_then(serde_json::Value::as_i64),
        data,
        expires_at: Timestamp(i64::try_from(millis).unwrap_or(i64::MAX)),
        address: text(ADDRESS),
        agent: text(AGENT),
    })
}

fn loaded(id: Id, session: &StoredSession) -> Result<Record> {
    let data =
        serde_json::from_str(&session.data).map_err(|error| Error::Decode(error.to_string()))?;
    let nanos = i128::from(session.expires_at.0) * 1_000_000;
    let expiry_date = OffsetDateTime::from_unix_timestamp_nanos(nanos)
        .map_err(|error| Error::Decode(error.to_string()))?;
    Ok(Record {
        id,
        data,
        expiry_date,
    })
}

fn backend(error: otter_fleet::Error) -> Error {
    Error::Backend(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies_go_over_tls_only_where_there_is_tls() {
        assert!(is_secure(&Url::parse("https://otter.example").unwrap()));
        assert!(!is_secure(&Url::parse("http://127.0.0.1:8080").unwrap()));
        let name = |url| cookie_name(&Url::parse(url).unwrap());
        assert_eq!(name("https://otter.example"), "__Host-otter_session");
        assert_eq!(name("http://127.0.0.1:8080"), "otter_session");
    }

    #[test]
    fn what_is_stored_comes_back() {
        let expiry_date = OffsetDateTime::from_unix_timestamp(2_000_000_000).unwrap();
        let data = [
            (USER_ID.to_owned(), serde_json::json!(7)),
            (ADDRESS.to_owned(), serde_json::json!("192.0.2.7")),
        ]
        .into();
        let record = Record {
            id: Id::default(),
            data,
            expiry_date,
        };
        let session = stored(&record).unwrap();
        assert_eq!(session.user_id, Some(7));
        assert_eq!(session.address.as_deref(), Some("192.0.2.7"));
        assert_eq!(session.expires_at, Timestamp(2_000_000_000_000));
        assert_eq!(loaded(record.id, &session).unwrap(), record);
    }
}
