//! Artifacts, releases, and the metadata that makes them trusted.

crate::step!(
    "m0002_releases",
    &[
        "CREATE TABLE artifacts (
            sha256 text PRIMARY KEY,
            sha1 text NOT NULL,
            md5 text NOT NULL,
            size bigint NOT NULL,
            created_at bigint NOT NULL,
            created_by text NOT NULL
        )",
        "CREATE TABLE releases (
            id {key},
            version text NOT NULL,
            notes text NOT NULL,
            state text NOT NULL,
            min_version text,
            min_bootloader_version text,
            required boolean NOT NULL,
            release_counter bigint UNIQUE,
            created_at bigint NOT NULL,
            created_by text NOT NULL,
            published_at bigint
        )",
        "CREATE INDEX releases_by_state ON releases (state, published_at)",
        "CREATE TABLE release_artifacts (
            release_id bigint NOT NULL REFERENCES releases (id),
            model text NOT NULL,
            version text NOT NULL,
            sha256 text NOT NULL REFERENCES artifacts (sha256),
            kind text NOT NULL,
            PRIMARY KEY (release_id, model)
        )",
        "CREATE UNIQUE INDEX release_artifacts_by_version ON release_artifacts (version, model)",
        "CREATE INDEX release_artifacts_by_sha256 ON release_artifacts (sha256)",
        "CREATE TABLE trust_metadata (
            role text NOT NULL,
            version bigint NOT NULL,
            body text NOT NULL,
            expires_at bigint NOT NULL,
            created_at bigint NOT NULL,
            PRIMARY KEY (role, version)
        )",
    ]
);
