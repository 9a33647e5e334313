"""Plan an export: in the format that somebody answered, else in our own."""

import json
import os
import pathlib

said = json.loads(pathlib.Path(os.environ["BZZZ_PLAN_FILE"]).read_text())["feedback"]
answers = [item["text"] for item in said if item["kind"] == "answer"]
name = "src/export.csv" if any("CSV" in text for text in answers) else "src/export.bin"
print(json.dumps({"summary": f"Export to {name}", "footprint": [name], "tests": ["check.py"]}))
