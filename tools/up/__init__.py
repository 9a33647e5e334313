"""`make up`: a whole hive on a Kubernetes cluster, from nothing to pull requests with evidence."""
