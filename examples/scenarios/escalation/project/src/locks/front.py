"""The front door's lock."""

DIGITS = 4
