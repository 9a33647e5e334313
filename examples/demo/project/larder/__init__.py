"""Small helpers for cooking from what is in the larder."""
