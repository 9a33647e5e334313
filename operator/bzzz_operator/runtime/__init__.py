"""What keeps the operator going whatever it operates: caches, work queue, lease, events, metrics, liveness."""
