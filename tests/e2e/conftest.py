"""Lets these tests read what a Home Assistant has written, with the integration's own code, whichever tests run."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))
