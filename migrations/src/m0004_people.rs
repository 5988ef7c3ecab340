//! People, their sessions, keys for programs, and the audit log.

crate::step!(
    "m0004_people",
    &[
        "CREATE TABLE users (
            id {key},
            name text NOT NULL UNIQUE,
            password_hash text NOT NULL,
            role text NOT NULL,
            created_at bigint NOT NULL,
            disabled_at bigint
        )",
        "CREATE TABLE sessions (
            id text PRIMARY KEY,
            user_id bigint,
            data text NOT NULL,
            expires_at bigint NOT NULL
        )",
        "CREATE INDEX sessions_by_expiry ON sessions (expires_at)",
        "CREATE INDEX sessions_by_user ON sessions (user_id)",
        "CREATE TABLE api_keys (
            id {key},
            name text NOT NULL,
            token_hash text NOT NULL UNIQUE,
            role text NOT NULL,
            created_by text NOT NULL,
            created_at bigint NOT NULL,
            expires_at bigint,
            revoked_at bigint
        )",
        "CREATE TABLE events (
            sequence bigint PRIMARY KEY,
            at bigint NOT NULL,
            actor text NOT NULL,
            action text NOT NULL,
            subject_kind text NOT NULL,
            subject text NOT NULL,
            before_json text,
            after_json text,
            hash text NOT NULL
        )",
        "CREATE INDEX events_by_subject ON events (subject_kind, subject, sequence)",
        "CREATE INDEX events_by_actor ON events (actor, sequence)",
        "CREATE INDEX events_by_action ON events (action, sequence)",
        "CREATE TABLE event_head (
            id integer PRIMARY KEY,
            sequence bigint NOT NULL,
            hash text NOT NULL
        )",
        "INSERT INTO event_head (id, sequence, hash) VALUES
            (1, 0, '0000000000000000000000000000000000000000000000000000000000000000')",
    ]
);
