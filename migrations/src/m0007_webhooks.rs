//! Addresses that hear of rollouts, and what they are still to be told.

crate::step!(
    "m0007_webhooks",
    &[
        "CREATE TABLE webhooks (
            id {key},
            name text NOT NULL,
            url text NOT NULL,
            events text NOT NULL,
            enabled boolean NOT NULL,
            secret text NOT NULL,
            former_secret text,
            former_until bigint,
            created_at bigint NOT NULL,
            created_by text NOT NULL
        )",
        // No reference to the webhook: a server that hasn't heard yet that it is gone must not fail for it.
        "CREATE TABLE webhook_deliveries (
            id {key},
            webhook_id bigint NOT NULL,
            rollout_id bigint NOT NULL,
            event text NOT NULL,
            body text NOT NULL,
            state text NOT NULL,
            created_at bigint NOT NULL,
            next_at bigint NOT NULL,
            gives_up_at bigint NOT NULL,
            tries integer NOT NULL,
            tried_at bigint,
            finished_at bigint,
            status integer,
            took_ms bigint,
            error text,
            answer text
        )",
        "CREATE INDEX webhook_deliveries_waiting ON webhook_deliveries (webhook_id, rollout_id, id)
            WHERE state = 'waiting'",
        "CREATE INDEX webhook_deliveries_by_webhook ON webhook_deliveries (webhook_id, id)",
        "CREATE INDEX webhook_deliveries_by_age ON webhook_deliveries (created_at)",
    ]
);
