"""Everything derived anew from the raw archive: what ``verify`` compares with and what ``backfill`` writes."""
