//! What the fleet ran when, how many devices checked in when, and which devices fail.

crate::step!(
    "m0017_samples",
    &[
        // One row a sample, whatever the fleet's size: counts by version as JSON. The span is the longest stretch of the
        // clock, in seconds, of which it is the first sample: coarser ones are kept longer.
        "CREATE TABLE version_samples (
            at bigint PRIMARY KEY,
            span integer NOT NULL,
            counts text NOT NULL
        )",
        "CREATE INDEX version_samples_by_span ON version_samples (span, at)",
        "CREATE TABLE check_in_counts (
            minute bigint PRIMARY KEY,
            check_ins bigint NOT NULL
        )",
        "CREATE INDEX devices_failing ON devices (failures_in_row, id) WHERE failures_in_row > 0",
    ]
);
