"""How `scripts/demo` begins: sets up the platform's environment, and becomes the program that runs in it."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from typing import Sequence

import _demo_environments
from _environments import ROOT, Environments, UnavailableError, clean_environment, say


def parser() -> argparse.ArgumentParser:
    """Returns the command line."""
    wanted = argparse.ArgumentParser(
        prog="scripts/demo",
        description="Starts a 1680 platform on this desk and a real Home Assistant, sends an SMS through Apprise and "
        "one through Home Assistant, answers from the phone, and lets an automation act on the answer. On loopback "
        "only; everything that it writes lies in .venv/ and .demo/ of the checkout.",
    )
    wanted.add_argument("--once", action="store_true", help="end after the transcript; exit 0 if every step held")
    wanted.add_argument("--json", action="store_true", help="print the transcript as JSON, once all is shown")
    wanted.add_argument(
        "--home-assistant",
        choices=("newest", "oldest"),
        default="newest",
        help="which end of the range of versions to run (default: the newest that can be had)",
    )
    return wanted


def main(arguments: Sequence[str]) -> int:
    """Runs the demo; returns only where its environment can't be had or it was interrupted."""
    parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        python = _demo_environments.make_platform(Environments()).python
    except UnavailableError as error:
        say(str(error))
        return 1
    except KeyboardInterrupt:
        return 130
    command = [str(python), str(ROOT / "scripts" / "_demo_run.py"), *arguments]
    # In place of this process, so that signals and the exit code are its own.
    return os.execve(command[0], command, clean_environment())  # noqa: S606 - no shell is what is wanted


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
