//! What a session holds, by key: written at the login, read with every call.

/// The account's number, an i64, once somebody is in.
pub const USER_ID: &str = "user_id";

/// When he showed last that it is he, in milliseconds since 1970.
pub const AUTHENTICATED_AT: &str = "authenticated_at";

/// The address that he logged in from.
pub const ADDRESS: &str = "address";

/// What his browser says it is.
pub const AGENT: &str = "agent";

/// The number of the account whose password was right, while its second factor is asked for.
pub const PENDING_ID: &str = "pending_id";

/// When that password was right, in milliseconds since 1970.
pub const PENDING_AT: &str = "pending_at";

/// How long a login counts as recent, in seconds: keys, people and trust are changed only so soon after it.
pub const RECENT_SEC: u64 = 15 * 60;
