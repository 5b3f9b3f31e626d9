"""The command line of the demo. scripts/demo prepares its environment and starts it."""

from __future__ import annotations

import argparse
import asyncio
import sys

from .run import Demo


def main() -> int:
    """Run the demo and return its exit code."""
    parser = argparse.ArgumentParser(
        prog="scripts/demo",
        description="Start a 1680 platform on this machine and a real Home Assistant, send an SMS through Apprise and "
        "one through Home Assistant, reply from the phone, and let an automation act on the reply. Everything listens "
        "on loopback only and writes into .venv/ and .demo/ of the checkout.",
    )
    parser.add_argument("--once", action="store_true", help="end after the transcript; exit 0 if every step passed")
    parser.add_argument("--json", action="store_true", help="print the transcript as JSON at the end")
    parser.add_argument(
        "--home-assistant",
        choices=("newest", "oldest"),
        default="newest",
        help="the end of the range of versions to run (default: the newest that can be installed)",
    )
    options = parser.parse_args()
    return asyncio.run(Demo(once=options.once, as_json=options.json, wanted=options.home_assistant).run())


if __name__ == "__main__":
    sys.exit(main())
