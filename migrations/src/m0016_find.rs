//! Releases and rollouts by how their names begin, whatever their case.

crate::step!(
    "m0016_find",
    &[
        "{sqlite} CREATE INDEX releases_by_name ON releases (lower(version))",
        "{sqlite} CREATE INDEX rollouts_by_name ON rollouts (lower(name))",
        "{postgres} CREATE INDEX releases_by_name ON releases ((lower(version) COLLATE \"C\"))",
        "{postgres} CREATE INDEX rollouts_by_name ON rollouts ((lower(name) COLLATE \"C\"))",
    ]
);
