"""There is only one way to do it."""

import json

print(
    json.dumps({"summary": "Take eight digits", "footprint": ["src/locks/front.py"], "tests": ["check.py"]})
)
