"""The project's tests."""

import pathlib
import sys

sys.exit(0 if pathlib.Path("src/table.py").is_file() else 1)
