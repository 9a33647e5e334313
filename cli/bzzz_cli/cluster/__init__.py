"""Commands that talk to a hive on Kubernetes, by way of the API server alone."""
