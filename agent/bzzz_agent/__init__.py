"""An agent of the hive: finds an issue, claims it, thinks aloud, executes, reports, and reviews others' plans."""

from importlib.metadata import version

__version__ = version("bzzz")
