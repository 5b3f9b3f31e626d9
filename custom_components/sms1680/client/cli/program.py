"""The program `sms1680`: the commands of the core, and those that entry points add (sandbox, apprise).

Secrets come from the environment or a file, because every user of a machine can read its command lines. The exit code
is the outcome: 0 accepted, 3 held, 4 refused, 5 not sent, 6 unknown; 2 means that nothing was attempted.
"""

import argparse
import io
import sys
from collections.abc import Sequence
from functools import partial
from importlib import metadata
from typing import Any

from ..errors import InvalidMessageError, SMS1680Error
from ..language import environment_language, say
from ..parser import Parser
from .balance import add as add_balance
from .bulk import add as add_bulk
from .completion import add as add_completion
from .estimate import add as add_estimate
from .listen import add as add_listen
from .output import EXIT_ERROR, EXIT_INVALID, exit_code, print_receipts, show
from .send import add as add_send

COMMANDS = "sms1680.commands"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return the exit code, also if its output cannot be written."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    given = sys.argv[1:] if arguments is None else list(arguments)
    parser = make_parser(given)
    options, unknown = parser.parse_known_args(given)
    if unknown and not options.is_missing:
        parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    language = environment_language()
    try:
        code: int = options.run(options)
    except SMS1680Error as error:
        show(partial(print_receipts, options, error.receipts, language, error))
        show(partial(print, f"sms1680: {error.sentence(language)}", file=sys.stderr))
        if isinstance(error, InvalidMessageError):
            return EXIT_INVALID
        return exit_code(error.receipts) if error.receipts else EXIT_ERROR
    return code


def make_parser(given: Sequence[str]) -> argparse.ArgumentParser:
    """Return the parser of the command that the arguments name, or of all commands."""
    parser = Parser(
        prog="sms1680",
        description=say("SMS through the platform 1680.", "通过 1680 平台收发短信。"),
        epilog=say(
            "Exit codes: 0 accepted, 3 held, 4 refused, 5 not sent, 6 unknown, 7 low balance; 2 nothing attempted, "
            "1 other error.",
            "退出码：0 已接收，3 待人工审核，4 被拒绝，5 未发出，6 结果不明，7 剩余条数过低；2 没有尝试，1 其他错误。",
        ),
    )
    parser.set_defaults(is_missing=False)
    commands = parser.add_subparsers(title=say("commands", "命令"), required=True)
    for add in (add_send, add_bulk, add_balance, add_estimate, add_listen):
        add(commands)
    add_completion(commands, lambda: make_parser([]))
    if given[:1] and given[0] in commands.choices:
        return parser  # the other commands are large, and an urgent message must not wait for them
    for entry in sorted(metadata.entry_points(group=COMMANDS), key=lambda entry: entry.name):
        _add_other(commands, entry)
    return parser


def _add_other(commands: Any, entry: metadata.EntryPoint) -> None:  # noqa: ANN401
    try:
        add = entry.load()
    except ImportError as error:
        needed = f"pip install {error.name}"
        missing = say(f"needs {error.name}: {needed}", f"需要 `{error.name}`：`{needed}`")
        parser = commands.add_parser(entry.name, help=missing, add_help=False)
        parser.set_defaults(
            run=lambda _: parser.exit(EXIT_INVALID, f"sms1680: {entry.name} {missing}\n"), is_missing=True
        )
        return
    add(commands)
