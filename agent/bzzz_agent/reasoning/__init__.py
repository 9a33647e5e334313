"""Thinking: models behind one facade, plans, reviews, and the embedded model (architecture §6, §9)."""
