"""From what is to what shall be: one reconcile a key, level-triggered, from caches; only what differs is written."""
