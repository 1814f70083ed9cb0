"""Real brokers and workers, and everything that happens to them: kills, outages, zombies, poison, fuzz, a soak."""
