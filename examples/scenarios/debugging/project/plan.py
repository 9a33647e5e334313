"""Plan a function that tells how many packs are needed."""

import json

print(
    json.dumps(
        {"summary": "Count packs in src/packs.py", "footprint": ["src/packs.py"], "tests": ["check.py"]}
    )
)
