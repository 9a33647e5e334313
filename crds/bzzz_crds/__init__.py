"""See the folder's modules."""
