"""The scribe on Kubernetes: what it knows is also carried to custom resources; what the authority signed is relayed.

The SQLite file stays the cache of blocks; nothing here is needed to know the state, and nothing here can end the
scribe: while the API server is slow or away, the latest state waits in memory and is written later.
"""
