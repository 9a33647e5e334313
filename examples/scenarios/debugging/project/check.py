"""The project's tests."""

import sys

sys.path.insert(0, "src")
try:
    from packs import packs
except ImportError:
    sys.exit(0)
if packs(7) != 2:
    sys.exit(f"arithmetic: 7 things need 2 packs, came {packs(7)}")
