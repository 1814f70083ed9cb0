-- What happened to the instances of service-level targets. Published again, the same happening is the same row.
CREATE TABLE IF NOT EXISTS sla_events
(
    ticket_id    String,
    target       LowCardinality(String),
    policy       LowCardinality(String),
    started_at   DateTime64(3, 'UTC'),
    at           DateTime64(3, 'UTC'),
    kind         LowCardinality(String),
    _partition   Int32,
    _offset      UInt64,
    _produced_at DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    _inserted_at DateTime64(3, 'UTC') DEFAULT now64(3) CODEC(Delta, ZSTD)
)
ENGINE = ReplacingMergeTree(_offset)
ORDER BY (ticket_id, target, policy, started_at, at, kind);
