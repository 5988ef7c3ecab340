//! What a rollout that can be approved, paced, rolled back and explained has to remember.

crate::step!(
    "m0006_rollout_engine",
    &[
        "ALTER TABLE rollouts ADD COLUMN approved_by text",
        "ALTER TABLE rollouts ADD COLUMN gate_approved_by text",
        "ALTER TABLE rollouts ADD COLUMN retried_upto integer",
        "ALTER TABLE rollouts ADD COLUMN takes_back boolean NOT NULL DEFAULT false",
        "ALTER TABLE rollouts ADD COLUMN next_grant_at bigint",
        // Aborted so far meant that what was under way is taken back.
        "UPDATE rollouts SET takes_back = true WHERE state = 'aborted'",
        "ALTER TABLE rollout_phases ADD COLUMN stepped bigint NOT NULL DEFAULT 0",
        "ALTER TABLE rollout_phases ADD COLUMN unhealthy bigint NOT NULL DEFAULT 0",
        "ALTER TABLE rollout_phases ADD COLUMN devices bigint NOT NULL DEFAULT 0",
        "UPDATE rollout_phases SET devices = succeeded + failed + rolled_back + timed_out + cancelled + under_way",
        "ALTER TABLE attempts ADD COLUMN purpose text NOT NULL DEFAULT 'update'",
        "ALTER TABLE attempts ADD COLUMN unhealthy_at bigint",
        "ALTER TABLE devices ADD COLUMN failures_in_row integer NOT NULL DEFAULT 0",
        "ALTER TABLE devices ADD COLUMN clock_off_sec bigint",
        "ALTER TABLE groups ADD COLUMN update_window text",
        "CREATE TABLE gate_evaluations (
            id {key},
            rollout_id bigint NOT NULL REFERENCES rollouts (id),
            phase integer NOT NULL,
            kind text NOT NULL,
            verdict text NOT NULL,
            tally text NOT NULL,
            since bigint NOT NULL,
            at bigint NOT NULL
        )",
        "CREATE INDEX gate_evaluations_by_rollout ON gate_evaluations (rollout_id, id)",
        "CREATE TABLE rollout_templates (
            name text PRIMARY KEY,
            description text NOT NULL,
            body text NOT NULL,
            created_at bigint NOT NULL,
            created_by text NOT NULL
        )",
        // Ids are ordered by their bytes, as on SQLite, so that those with one beginning lie side by side.
        "{postgres} ALTER TABLE devices ALTER COLUMN id TYPE text COLLATE \"C\"",
        // Lists of devices are read in the order of their ids, whatever they are filtered by: an index for each filter, with
        // the others beside it, so that what doesn't fit is passed over within the index.
        "CREATE INDEX devices_by_state_id ON devices (state, id)",
        "CREATE INDEX devices_by_model_id ON devices (model, id)",
        "CREATE INDEX devices_by_version_id ON devices (version, id)",
        "CREATE INDEX devices_by_model_version_id ON devices (model, version, id, group_name)",
        "CREATE INDEX devices_by_group_id ON devices (group_name, id, model, version)",
        "DROP INDEX devices_by_group",
        // Parts of ids. An id never changes and no device is deleted, so what is new is all that has to be followed.
        "{sqlite} CREATE VIRTUAL TABLE device_ids USING fts5 (id, tokenize = 'trigram', columnsize = 0)",
        "{sqlite} INSERT INTO device_ids (id) SELECT id FROM devices",
        "{sqlite} CREATE TRIGGER device_ids_follow AFTER INSERT ON devices
            BEGIN INSERT INTO device_ids (id) VALUES (new.id); END",
        // Where the extension can't be had, a search for a rare part reads the whole list.
        "{postgres} DO $$ BEGIN
            CREATE EXTENSION IF NOT EXISTS pg_trgm;
            CREATE INDEX devices_by_part_of_id ON devices USING gin (id gin_trgm_ops);
        EXCEPTION WHEN OTHERS THEN
            RAISE NOTICE 'searching for parts of device ids goes without pg_trgm: %', SQLERRM;
        END $$",
    ]
);
