"""The command `sms1680 apprise`: makes the drop-in for Apprise's plugin folders."""

from __future__ import annotations

import argparse


def add(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to a parser; its `run` takes the parsed arguments and returns the exit code."""
