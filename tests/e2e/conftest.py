"""Import the integration's code, so that these tests can read Home Assistant's files when run alone."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))
