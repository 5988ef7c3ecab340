//! Keys that are held until an operator decides; the audit log's signed heads, and where what is kept of it begins.

crate::step!(
    "m0009_device_keys",
    &[
        "ALTER TABLE devices ADD COLUMN held_key text",
        "ALTER TABLE devices ADD COLUMN held_at bigint",
        "CREATE INDEX devices_with_held_key ON devices (id) WHERE held_key IS NOT NULL",
        // The last event that is no longer kept, and its hash: the first one that is kept continues it.
        "ALTER TABLE event_head ADD COLUMN base_sequence bigint NOT NULL DEFAULT 0",
        "ALTER TABLE event_head ADD COLUMN base_hash text NOT NULL
            DEFAULT '0000000000000000000000000000000000000000000000000000000000000000'",
        "CREATE TABLE event_signatures (
            sequence bigint PRIMARY KEY,
            hash text NOT NULL,
            signed_at bigint NOT NULL,
            public_key text NOT NULL,
            signature text NOT NULL
        )",
    ]
);
