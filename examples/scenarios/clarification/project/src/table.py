"""The table that somebody wants exported."""

TABLE = {"sugar": 2}
