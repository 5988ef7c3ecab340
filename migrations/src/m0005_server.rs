//! What servers share: secrets of their own, and leases on periodic work.

crate::step!(
    "m0005_server",
    &[
        "CREATE TABLE secrets (
            name text PRIMARY KEY,
            value text NOT NULL,
            created_at bigint NOT NULL
        )",
        "CREATE TABLE leases (
            name text PRIMARY KEY,
            holder text NOT NULL,
            until bigint NOT NULL
        )",
    ]
);
