"""The durable truth of a run: one append-only, hash-chained, fsynced file, and the pure fold over it."""
