-- One row per pane, combination of dimensions and Kafka partition; the measures are columns that `deskpulse migrate`
-- adds, see columns.sql. An attribute that is no dimension is empty.
CREATE TABLE IF NOT EXISTS cells_hour
(
    pane_at       DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    channel       LowCardinality(String),
    priority      LowCardinality(String),
    team          LowCardinality(String),
    category      LowCardinality(String),
    agent_id      LowCardinality(String),
    region        LowCardinality(String),
    language      LowCardinality(String),
    tier          LowCardinality(String),
    journey_stage LowCardinality(String),
    origin        LowCardinality(String),
    handler       LowCardinality(String),
    _partition    Int32,
    _offset       UInt64,
    _produced_at  DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    _inserted_at  DateTime64(3, 'UTC') DEFAULT now64(3) CODEC(Delta, ZSTD)
)
ENGINE = ReplacingMergeTree(_offset)
PRIMARY KEY pane_at
ORDER BY (pane_at, channel, priority, team, category, agent_id, region, language, tier, journey_stage, origin, handler, _partition);
