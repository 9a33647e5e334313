"""A real Kubernetes for tests and demos: the user's own, by kind, or built in without any container engine."""

from tools.cluster.choice import Choice
from tools.cluster.cluster import Cluster
from tools.cluster.errors import ClusterError, ComponentError, MissingToolError, UnsupportedError

__all__ = ["Choice", "Cluster", "ClusterError", "ComponentError", "MissingToolError", "UnsupportedError"]
