//! Events by when they were.

crate::step!(
    "m0018_events",
    &["CREATE INDEX events_by_time ON events (at, sequence)"]
);
