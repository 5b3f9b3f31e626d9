"""The command `sms1680 apprise`: makes the drop-in for Apprise's plugin folders."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from .dropin import DropInError, make

# Where the apprise command looks by itself, on all systems but Windows.
FOLDERS = ("~/.config/apprise/plugins", "~/.apprise/plugins", "/var/lib/apprise/plugins")
_FAILED = 1


def add(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to a parser; its `run` takes the parsed arguments and returns the exit code."""
    parser = subparsers.add_parser(
        "apprise",
        help="make the drop-in for Apprise's plugin folders",
        description="Make the folder sms1680 with which an Apprise that this package is not installed beside knows "
        f"sms1680://. The apprise command looks in {', '.join(FOLDERS)} by itself.",
    )
    parser.add_argument(
        "--into", type=Path, metavar="FOLDER", default=FOLDERS[0], help="Apprise's plugin folder (default: %(default)s)"
    )
    parser.add_argument("--json", action="store_true", help="print the folder as one line of JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Make the drop-in and say where it is."""
    try:
        folder = make(Path(args.into))
    except (DropInError, OSError) as error:
        print(f"sms1680 apprise: {error}", file=sys.stderr)
        return _FAILED
    plugins = folder.parent
    if args.json:
        print(json.dumps({"folder": str(folder), "plugin_path": str(plugins)}))
        return 0
    print(f"The drop-in is in {folder}")
    if any(plugins == Path(known).expanduser() for known in FOLDERS):
        print("The apprise command finds it there by itself.")
    else:
        print(f"Tell the apprise command of it: apprise -P {plugins} …, or APPRISE_PLUGIN_PATH={plugins}")
    print(f"Apprise API: mount {plugins} as /plugin, or set APPRISE_PLUGIN_PATHS={plugins}")
    print(f"Python: apprise.AppriseAsset(plugin_paths=[{str(plugins)!r}])")
    print("After an update of sms1680, run this again.")
    return 0
