"""The command `sms1680 balance`, which can also watch the balance."""

import argparse
import json
import signal
import sys
import threading
from functools import partial
from typing import Any

from ..checks import positive
from ..errors import AuthenticationError, SMS1680Error
from ..http.client import Client
from ..language import environment_language, say
from .arguments import add_account, make_client
from .output import EXIT_ACCEPTED, EXIT_LOW, show


def add(commands: Any) -> None:  # noqa: ANN401
    """Add the command to the subparsers of the program."""
    parser = commands.add_parser("balance", help=say("the remaining messages of the product", "产品的剩余条数"))
    add_account(parser)
    parser.add_argument(
        "--watch",
        type=float,
        metavar="SECONDS",
        help=say(
            "query again after this time, and print the balance when it changes; Ctrl-C or SIGTERM ends it",
            "每隔这些秒再次查询，剩余条数变化时输出；按 `Ctrl-C` 或发送 `SIGTERM` 结束",
        ),
    )
    parser.add_argument(
        "--below",
        type=int,
        metavar="PARTS",
        help=say(
            f"end with exit code {EXIT_LOW} once the balance is below this number",
            f"剩余条数低于该数时以退出码 {EXIT_LOW} 结束",
        ),
    )
    parser.set_defaults(run=_balance)


def _balance(options: argparse.Namespace) -> int:
    if options.watch is not None:
        positive("watch", options.watch)
    with make_client(options) as sms:
        if options.watch is not None:
            return _watch(options, sms)
        balance = sms.balance()
    _show(options, balance)
    return EXIT_LOW if _is_low(options, balance) else EXIT_ACCEPTED


def _watch(options: argparse.Namespace, sms: Client) -> int:
    """Print the balance whenever it changes, until a signal or a low balance. A network that is gone comes back."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    shown: int | None = None
    problem = ""
    while True:
        try:
            balance = sms.balance()
        except AuthenticationError:
            raise
        except SMS1680Error as error:
            sentence = error.sentence(environment_language())
            if sentence != problem:
                show(partial(print, f"sms1680: {sentence}", file=sys.stderr))
            problem = sentence
        else:
            problem = ""
            if balance != shown:
                _show(options, balance)
            shown = balance
            if _is_low(options, balance):
                return EXIT_LOW
        if stop.wait(options.watch):
            return EXIT_ACCEPTED


def _show(options: argparse.Namespace, balance: int) -> None:
    print(json.dumps({"balance": balance}) if options.json else balance, flush=True)


def _is_low(options: argparse.Namespace, balance: int) -> bool:
    """Return whether the balance is below the limit of the user, and warn."""
    if options.below is None or balance >= options.below:
        return False
    low = say(f"the balance is below {options.below}", f"剩余条数低于 {options.below}")
    show(partial(print, f"sms1680: {low}", file=sys.stderr))
    return True
