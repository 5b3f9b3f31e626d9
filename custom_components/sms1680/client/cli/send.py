"""The command `sms1680 send`."""

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from typing import Any

from ..errors import RefusedError, SendError, error_of
from ..language import environment_language, say
from ..long_text import fit_text, is_long
from ..numbers import split_numbers
from ..outcomes import Outcome, Reason
from ..receipts import Receipt, combine
from ..text import Signature
from .arguments import add_account, add_sending, make_client, read_text, sending_options, sending_settings
from .output import exit_code, is_wrong, print_receipts, show

_WRONG_NUMBERS = (
    "a number is not a mainland mobile number (11 digits, 13… to 19…) and got no message",
    "有号码不是中国大陆手机号码（11 位，13…至 19…），没有向其发送",
)


def add(commands: Any) -> None:  # noqa: ANN401 - argparse names no public type
    """Add the command to the subparsers of the program."""
    parser = commands.add_parser(
        "send", help=say("send one text to one or more numbers", "向一个或多个号码发送同一内容")
    )
    add_account(parser)
    parser.add_argument(
        "--to", action="append", required=True, metavar="NUMBER", help=say("can be repeated", "可多次使用")
    )
    add_sending(parser)
    parser.add_argument(
        "--long-text",
        choices=("cut", "split", "refuse"),
        default="cut",
        help=say(
            "what to do with a text of more than 500 characters, including the signature",
            "内容连同签名超过 500 字时：截断、拆分为多条或拒绝",
        ),
    )
    parser.add_argument(
        "text", help=say("the text, or - to read it from standard input", "内容；`-` 表示从标准输入读取")
    )
    parser.set_defaults(run=_send, done=None)


def _send(options: argparse.Namespace) -> int:
    sending = sending_options(options)
    texts, is_changed = _texts(options)
    numbers = list(split_numbers(options.to))
    right = [number for number, _ in numbers if number is not None]
    with make_client(options, **sending_settings(options)) as sms:

        def send(text: str) -> Sequence[Receipt]:
            try:
                return sms.send(
                    right or options.to,  # without a number, the client says what is wrong
                    text,
                    **sending,
                )
            except SendError as error:
                return error.receipts

        answers = [send(texts[0])]
        for text in texts[1:]:
            if all(receipt.outcome is Outcome.NOT_SENT for receipt in answers[-1]):
                break  # the others would wait for the same connection
            answers.append(send(text))
    if is_changed:
        options.done = options.long_text
        show(partial(print, f"sms1680: {_long_text_sentence(options.done, len(texts))}", file=sys.stderr))
    receipts = _in_order(numbers, [combine(of_number) for of_number in zip(*answers, strict=True)])
    error = error_of(receipts)
    if error and all(is_wrong(receipt) for receipt in receipts if not receipt.outcome.is_success):
        error = RefusedError(receipts, Reason.NUMBER, _WRONG_NUMBERS)
    if error:
        raise error
    show(partial(print_receipts, options, receipts, environment_language()))
    return exit_code(receipts)


def _texts(options: argparse.Namespace) -> tuple[list[str], bool]:
    """Return the texts to send, and whether the given text was cut or split because it is too long."""
    text = read_text(options.text)
    signature = Signature.read(options.signature, options.signature_place)
    if options.long_text == "refuse" or not is_long(text, signature):
        return [text], False
    return fit_text(text, signature, options.long_text), True


def _long_text_sentence(done: str, count: int) -> str:
    if done == "cut":
        return say("the text was too long and was cut", "内容过长，已截断")
    return say(f"the text was too long and was split into {count} messages", f"内容过长，已拆分为 {count} 条短信")


def _in_order(numbers: Sequence[tuple[str | None, str]], sent: Sequence[Receipt]) -> list[Receipt]:
    """Return the receipts in the order of the call, including one for each invalid number."""
    of_number = {receipt.number: receipt for receipt in sent}
    return [
        Receipt(written, Outcome.REFUSED, reason=Reason.NUMBER, parts=0) if number is None else of_number[number]
        for number, written in numbers
    ]
