"""Do it."""

import pathlib

path = pathlib.Path("src/locks/front.py")
path.write_text(path.read_text().replace("DIGITS = 4", "DIGITS = 8"))
