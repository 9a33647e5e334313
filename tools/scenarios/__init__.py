"""The stories that HMMM is for, told by a real local hive: `python -m tools.scenarios NAME` (docs/scenarios.md)."""
