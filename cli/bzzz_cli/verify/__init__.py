"""`bzzz verify`: a pull request's evidence, walked link by link (the chain itself is `hmmm.evidence`)."""
