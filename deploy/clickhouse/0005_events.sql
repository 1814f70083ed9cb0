-- The archive of the inputs: every accepted record, whole, with what came twice. A record is known by its place in Kafka.
-- Its time never changes, so the table can be partitioned by it, and the retention drops whole months.
CREATE TABLE IF NOT EXISTS events
(
    _topic       LowCardinality(String),
    _partition   Int32,
    _offset      UInt64,
    _produced_at DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    _inserted_at DateTime64(3, 'UTC') DEFAULT now64(3) CODEC(Delta, ZSTD),
    value        String CODEC(ZSTD(3))
)
ENGINE = ReplacingMergeTree(_offset)
PARTITION BY toYYYYMM(_produced_at)
ORDER BY (_topic, _partition, _offset);
