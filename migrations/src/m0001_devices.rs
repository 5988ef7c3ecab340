//! Devices, groups and the tokens that let devices in.

crate::step!(
    "m0001_devices",
    &[
        "CREATE TABLE devices (
            id text PRIMARY KEY,
            model text NOT NULL,
            version text NOT NULL,
            bootloader_version text,
            agent_version text,
            state text NOT NULL,
            hold text,
            group_name text,
            labels text NOT NULL,
            metadata text NOT NULL,
            conditions text NOT NULL,
            public_key text NOT NULL,
            token_hash text UNIQUE,
            enrolled_at bigint NOT NULL,
            updated_at bigint NOT NULL,
            last_seen_at bigint
        )",
        "CREATE INDEX devices_by_model ON devices (state, model, version)",
        "CREATE INDEX devices_by_group ON devices (group_name)",
        "CREATE INDEX devices_by_last_seen ON devices (last_seen_at)",
        "CREATE TABLE groups (
            name text PRIMARY KEY,
            description text NOT NULL,
            selector text,
            created_at bigint NOT NULL
        )",
        "CREATE TABLE enrollment_tokens (
            id {key},
            name text NOT NULL,
            token_hash text NOT NULL UNIQUE,
            quota integer,
            used integer NOT NULL,
            models text NOT NULL,
            group_name text,
            expires_at bigint,
            created_by text NOT NULL,
            created_at bigint NOT NULL,
            revoked_at bigint
        )",
    ]
);
