"""`python -m sms1680`: the command line."""

import sys

from .cli import main

sys.exit(main())
