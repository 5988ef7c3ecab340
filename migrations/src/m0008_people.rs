//! When sessions begin, are used and end; second factors, one-time links, and when keys were used last.

crate::step!(
    "m0008_people",
    &[
        // Sessions of before have no beginning, and so have ended: everybody logs in anew.
        "ALTER TABLE sessions ADD COLUMN created_at bigint NOT NULL DEFAULT 0",
        "ALTER TABLE sessions ADD COLUMN seen_at bigint NOT NULL DEFAULT 0",
        "ALTER TABLE sessions ADD COLUMN address text",
        "ALTER TABLE sessions ADD COLUMN agent text",
        "ALTER TABLE users ADD COLUMN password_changed_at bigint NOT NULL DEFAULT 0",
        "ALTER TABLE users ADD COLUMN last_login_at bigint",
        "ALTER TABLE users ADD COLUMN totp_secret text",
        "ALTER TABLE users ADD COLUMN totp_offered text",
        "ALTER TABLE users ADD COLUMN totp_step bigint NOT NULL DEFAULT 0",
        "CREATE TABLE recovery_codes (
            id {key},
            user_id bigint NOT NULL,
            code_hash text NOT NULL
        )",
        "CREATE INDEX recovery_codes_by_user ON recovery_codes (user_id)",
        "CREATE TABLE one_time_links (
            user_id bigint PRIMARY KEY,
            secret_hash text NOT NULL UNIQUE,
            expires_at bigint NOT NULL
        )",
        "ALTER TABLE api_keys ADD COLUMN last_used_at bigint",
    ]
);
