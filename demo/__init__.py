"""The demo: a 1680 platform and a real Home Assistant on this machine, an SMS out and a reply in."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.append(str(ROOT / "tests"))  # the demo checks its logs as the tests do
