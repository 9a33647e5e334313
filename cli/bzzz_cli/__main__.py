"""`python -m bzzz_cli`."""

from bzzz_cli.main import app

app()
