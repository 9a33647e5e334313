"""The scribe: observes the mesh, folds the archive's logs into a state store, serves state and transcripts (trio)."""
