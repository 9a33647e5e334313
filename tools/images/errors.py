"""What can go wrong while images are built."""

from __future__ import annotations


class ImageError(Exception):
    """An image could not be built; the message says what was expected, what came and what to do."""
