//! Until when an artifact stays that is part of no release, and since when it is to be removed.

crate::step!(
    "m0019_artifacts",
    &[
        // 0: what came before counts from its arrival alone.
        "ALTER TABLE artifacts ADD COLUMN kept_until bigint NOT NULL DEFAULT 0",
        "ALTER TABLE artifacts ADD COLUMN condemned_at bigint",
        "CREATE INDEX condemned_artifacts ON artifacts (condemned_at) WHERE condemned_at IS NOT NULL",
    ]
);
