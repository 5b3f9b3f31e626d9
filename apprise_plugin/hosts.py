"""The programs with Apprise that need a special treatment."""

import sys

# They answer any failure with "try again later", so that the same text comes again.
_REPEATING_HOSTS = ("mailrise",)
# Seconds for which a failed notification is remembered after each try. Mail servers wait for up to six hours between
# two tries.
REPEATING_PERIOD = 8 * 3600


def host_repeats() -> bool:
    """Return whether the program of this process sends a failed notification again."""
    return any(host in sys.modules for host in _REPEATING_HOSTS)
