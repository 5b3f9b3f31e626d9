"""Import the integration's code, so that these tests can read Home Assistant's files when run alone."""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

# One lane is enough for the kills that take longest: they stress our store, which is the same in all lanes.
collect_ignore = []
if sys.version_info < (3, 14) and "SMS1680_KILLS" not in os.environ:
    collect_ignore += ["test_alarm_killed.py", "test_duty_killed.py"]
