"""Builds the project's container images where there is neither a container engine nor an image registry."""
