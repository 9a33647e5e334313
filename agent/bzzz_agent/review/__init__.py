"""Reviewing others' plans: rules first, then the model (architecture §6.2)."""
