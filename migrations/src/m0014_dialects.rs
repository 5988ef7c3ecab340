//! Which dialect of the device API a device speaks, what publishers say of firmware, and words of devices on no attempt.

crate::step!(
    "m0014_dialects",
    &[
        "ALTER TABLE devices ADD COLUMN dialect text NOT NULL DEFAULT 'native'",
        // What the publisher says of its bytes: a boot loader may check it, the server does not.
        "ALTER TABLE releases ADD COLUMN says_signed boolean NOT NULL DEFAULT false",
        // The last word of a device on a version that it came to without an attempt.
        "CREATE TABLE loose_reports (
            device_id text NOT NULL REFERENCES devices (id),
            version text NOT NULL,
            state text NOT NULL,
            progress integer,
            message text,
            started_at bigint NOT NULL,
            reported_at bigint NOT NULL,
            finished_at bigint,
            PRIMARY KEY (device_id, version)
        )",
        "CREATE INDEX loose_reports_by_report ON loose_reports (reported_at)",
    ]
);
