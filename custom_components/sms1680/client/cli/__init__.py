"""The command line `sms1680`."""

from .program import main

__all__ = ["main"]
