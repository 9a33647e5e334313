"""The project's tests."""

import pathlib
import sys

sys.exit(0 if "DIGITS = " in pathlib.Path("src/locks/front.py").read_text() else 1)
