"""The command `sms1680 balance`."""

import argparse
import json
from typing import Any

from ..language import say
from .arguments import add_account, make_client
from .output import EXIT_ACCEPTED


def add(commands: Any) -> None:  # noqa: ANN401
    """Add the command to the subparsers of the program."""
    parser = commands.add_parser("balance", help=say("the remaining messages of the product", "产品的剩余条数"))
    add_account(parser)
    parser.set_defaults(run=_balance)


def _balance(options: argparse.Namespace) -> int:
    with make_client(options) as sms:
        balance = sms.balance()
    print(json.dumps({"balance": balance}) if options.json else balance)
    return EXIT_ACCEPTED
