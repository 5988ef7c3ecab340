//! Rollouts with their phases, and attempts with their story.

crate::step!(
    "m0003_rollouts",
    &[
        "CREATE TABLE rollouts (
            id {key},
            name text NOT NULL,
            release_id bigint NOT NULL REFERENCES releases (id),
            spec text NOT NULL,
            state text NOT NULL,
            state_reason text,
            current_phase integer NOT NULL,
            sampled_at bigint,
            forgiven text,
            created_at bigint NOT NULL,
            created_by text NOT NULL,
            started_at bigint,
            finished_at bigint
        )",
        "CREATE INDEX rollouts_by_state ON rollouts (state)",
        "CREATE INDEX rollouts_by_release ON rollouts (release_id)",
        "CREATE TABLE rollout_phases (
            rollout_id bigint NOT NULL REFERENCES rollouts (id),
            position integer NOT NULL,
            succeeded bigint NOT NULL,
            failed bigint NOT NULL,
            rolled_back bigint NOT NULL,
            timed_out bigint NOT NULL,
            cancelled bigint NOT NULL,
            under_way bigint NOT NULL,
            waiting bigint,
            PRIMARY KEY (rollout_id, position)
        )",
        "CREATE TABLE attempts (
            id {small_key},
            uuid text NOT NULL UNIQUE,
            device_id text NOT NULL REFERENCES devices (id),
            rollout_id bigint NOT NULL REFERENCES rollouts (id),
            release_id bigint NOT NULL REFERENCES releases (id),
            version text NOT NULL,
            from_version text NOT NULL,
            phase integer NOT NULL,
            state text NOT NULL,
            progress integer,
            message text,
            last_sequence integer NOT NULL,
            created_at bigint NOT NULL,
            updated_at bigint NOT NULL,
            finished_at bigint
        )",
        "CREATE UNIQUE INDEX attempts_open ON attempts (device_id) WHERE finished_at IS NULL",
        "CREATE INDEX attempts_by_device ON attempts (device_id, id)",
        "CREATE INDEX attempts_by_rollout ON attempts (rollout_id, state, id)",
        "CREATE INDEX attempts_by_update ON attempts (updated_at)",
        "CREATE INDEX attempts_by_finish ON attempts (finished_at)",
        "CREATE TABLE attempt_steps (
            attempt_id integer NOT NULL REFERENCES attempts (id),
            sequence integer NOT NULL,
            state text NOT NULL,
            progress integer,
            message text,
            version text,
            at bigint,
            received_at bigint NOT NULL,
            PRIMARY KEY (attempt_id, sequence)
        )",
        "CREATE TABLE attempt_logs (
            attempt_id integer PRIMARY KEY REFERENCES attempts (id),
            body text NOT NULL,
            received_at bigint NOT NULL
        )",
    ]
);
