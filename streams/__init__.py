"""The stream processors: the pure domain, and the thin shell that feeds it from Kafka."""

from streams import compiled

compiled.prefer(__path__)
