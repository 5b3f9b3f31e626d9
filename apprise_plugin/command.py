"""The command `sms1680 apprise`, which creates the drop-in for Apprise's plugin folders."""

import argparse
import json
import sys
from pathlib import Path

from .core import say
from .dropin import DropInError, make
from .url_command import add_url

# The plugin folders that the apprise command searches by default, on all systems except Windows.
FOLDERS = ("~/.config/apprise/plugins", "~/.apprise/plugins", "/var/lib/apprise/plugins")
_FAILED = 1


def add(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to a parser. Its `run` takes the parsed arguments and returns the exit code."""
    parser = subparsers.add_parser(
        "apprise",
        help=say("create the drop-in for Apprise's plugin folders", "生成 Apprise 插件目录所需的文件"),
        description=say(
            "Create the folder sms1680, which adds sms1680:// to an Apprise in whose Python this package is not "
            f"installed. The apprise command searches {', '.join(FOLDERS)} by default.",
            "生成目录 `sms1680`，供未安装本程序的 Apprise 使用 `sms1680://`。"
            f"`apprise` 命令默认查找：`{'`、`'.join(FOLDERS)}`。",
        ),
    )
    parser.add_argument(
        "--into",
        type=Path,
        metavar="FOLDER",
        default=FOLDERS[0],
        help=say("Apprise's plugin folder (default: %(default)s)", "Apprise 的插件目录（默认：`%(default)s`）"),
    )
    parser.add_argument(
        "--json", action="store_true", help=say("print the folder as one line of JSON", "以一行 `JSON` 输出目录")
    )
    parser.set_defaults(run=run)
    add_url(parser)


def run(args: argparse.Namespace) -> int:
    """Create the drop-in and print how to use it."""
    try:
        folder = make(Path(args.into))
    except (DropInError, OSError) as error:
        problem = error if isinstance(error, DropInError) else say(str(error), f"无法写入该目录（`{error}`）")
        print(f"sms1680 apprise: {problem}", file=sys.stderr)
        return _FAILED
    plugins = folder.parent
    if args.json:
        print(json.dumps({"folder": str(folder), "plugin_path": str(plugins)}))
        return 0
    print(say(f"Created the drop-in {folder}", f"已生成 `{folder}`"))
    if any(plugins == Path(known).expanduser() for known in FOLDERS):
        print(say("The apprise command finds it by default.", "`apprise` 命令默认即可找到它。"))
    else:
        variable = f"APPRISE_PLUGIN_PATH={plugins}"
        print(
            say(
                f"apprise command: apprise -P {plugins} …, or set {variable}",
                f"`apprise` 命令：`apprise -P {plugins} …`，或设置 `{variable}`",
            )
        )
    variable = f"APPRISE_PLUGIN_PATHS={plugins}"
    print(
        say(
            f"Apprise API: mount {plugins} as /plugin, or set {variable}",
            f"`Apprise API`：将 `{plugins}` 挂载为 `/plugin`，或设置 `{variable}`",
        )
    )
    asset = f"apprise.AppriseAsset(plugin_paths=[{str(plugins)!r}])"
    print(say(f"Python: {asset}", f"在 `Python` 中：`{asset}`"))
    print(say("Run this command again after each update of sms1680.", "每次更新 `sms1680` 后请再次运行此命令。"))
    return 0
