"""`python -m bzzz_scribe`."""

import sys

from bzzz_scribe.main import main

sys.exit(main())
