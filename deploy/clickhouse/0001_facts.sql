-- Identity and provenance only; the facts themselves are columns that `deskpulse migrate` adds, see columns.sql.
-- Not partitioned: rows are replaced within a partition only, and nothing but the id of a ticket stays as it is.
CREATE TABLE IF NOT EXISTS ticket_facts
(
    ticket_id    String,
    _partition   Int32,
    _offset      UInt64,
    _produced_at DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    _inserted_at DateTime64(3, 'UTC') DEFAULT now64(3) CODEC(Delta, ZSTD)
)
ENGINE = ReplacingMergeTree(_offset)
ORDER BY ticket_id;
