//! What of the fleet each API key reaches.

crate::step!(
    "m0011_key_scopes",
    &[
        // JSON; those that were made before reach everything.
        "ALTER TABLE api_keys ADD COLUMN scope text NOT NULL DEFAULT '{}'",
    ]
);
