"""The command `sms1680 apprise`, which creates the drop-in for Apprise's plugin folders."""

import argparse
import json
import sys
from pathlib import Path

from .dropin import DropInError, make

# The plugin folders that the apprise command searches by default, on all systems except Windows.
FOLDERS = ("~/.config/apprise/plugins", "~/.apprise/plugins", "/var/lib/apprise/plugins")
_FAILED = 1


def add(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to a parser. Its `run` takes the parsed arguments and returns the exit code."""
    parser = subparsers.add_parser(
        "apprise",
        help="create the drop-in for Apprise's plugin folders",
        description="Create the folder sms1680, which adds sms1680:// to an Apprise in whose Python this package is "
        f"not installed. The apprise command searches {', '.join(FOLDERS)} by default.",
    )
    parser.add_argument(
        "--into", type=Path, metavar="FOLDER", default=FOLDERS[0], help="Apprise's plugin folder (default: %(default)s)"
    )
    parser.add_argument("--json", action="store_true", help="print the folder as one line of JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Create the drop-in and print how to use it."""
    try:
        folder = make(Path(args.into))
    except (DropInError, OSError) as error:
        print(f"sms1680 apprise: {error}", file=sys.stderr)
        return _FAILED
    plugins = folder.parent
    if args.json:
        print(json.dumps({"folder": str(folder), "plugin_path": str(plugins)}))
        return 0
    print(f"Created the drop-in {folder}")
    if any(plugins == Path(known).expanduser() for known in FOLDERS):
        print("The apprise command finds it by default.")
    else:
        print(f"apprise command: apprise -P {plugins} …, or set APPRISE_PLUGIN_PATH={plugins}")
    print(f"Apprise API: mount {plugins} as /plugin, or set APPRISE_PLUGIN_PATHS={plugins}")
    print(f"Python: apprise.AppriseAsset(plugin_paths=[{str(plugins)!r}])")
    print("Run this command again after each update of sms1680.")
    return 0
