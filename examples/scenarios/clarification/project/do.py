"""Write what the agreed plan says."""

import json
import os
import pathlib

for path in json.loads(pathlib.Path(os.environ["BZZZ_PLAN_FILE"]).read_text())["footprint"]:
    pathlib.Path(path).write_text("name,amount\nsugar,2\n")
