-- When `deskpulse backfill` computed the row from the archive; NULL of rows that a worker's record made.
ALTER TABLE ticket_facts ADD COLUMN IF NOT EXISTS _backfilled_at Nullable(DateTime64(3, 'UTC'));
ALTER TABLE cells_minute ADD COLUMN IF NOT EXISTS _backfilled_at Nullable(DateTime64(3, 'UTC'));
ALTER TABLE cells_hour ADD COLUMN IF NOT EXISTS _backfilled_at Nullable(DateTime64(3, 'UTC'));
ALTER TABLE sla_events ADD COLUMN IF NOT EXISTS _backfilled_at Nullable(DateTime64(3, 'UTC'));
