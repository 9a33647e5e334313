"""Helping peers whose work failed: offering, suggesting, withdrawing (docs/help.md)."""
