"""What the commands print, and their exit codes."""

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterable, Sequence

from ..errors import SMS1680Error
from ..language import say
from ..masking import mask_number
from ..outcomes import Language, Outcome, Reason
from ..receipts import Receipt

EXIT_ACCEPTED = 0
EXIT_ERROR = 1
EXIT_INVALID = 2
EXIT_LOW = 7
# The most serious outcome decides the exit code of a call.
EXITS = {Outcome.UNKNOWN: 6, Outcome.REFUSED: 4, Outcome.NOT_SENT: 5, Outcome.HELD: 3, Outcome.ACCEPTED: 0}


def show(write: Callable[[], None]) -> None:
    """Write output. A full disk behind it must not hide the outcome of a send, which is the exit code."""
    try:
        write()
        sys.stdout.flush()
    except OSError:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115 - until the process ends


def print_receipts(
    options: argparse.Namespace, receipts: Sequence[Receipt], language: Language, error: SMS1680Error | None = None
) -> None:
    """Print the receipts of a call, as one line of JSON on request."""
    if options.json:
        result: dict[str, object] = {"receipts": [receipt_data(receipt, language) for receipt in receipts]}
        if "done" in options:
            result["long_text"] = options.done
        if error is not None:
            result |= {"error": error.sentence(language), "reason": error.reason.value if error.reason else None}
        print(json.dumps(result, ensure_ascii=False))
        return
    for receipt in receipts:
        message_id = f" id={receipt.message_id}" if receipt.message_id else ""
        print(f"{sentence_of(receipt, language)}{message_id}")


def receipt_data(receipt: Receipt, language: Language) -> dict[str, object]:
    """Return a receipt as JSON. The number is whole: scripts need it."""
    return {
        "number": receipt.number,
        "outcome": receipt.outcome.value,
        "message_id": receipt.message_id,
        "parts": receipt.parts,
        "reason": receipt.reason.value if receipt.reason else None,
        "repeat": receipt.repeat.value,
        "detail": receipt.detail,
        "sentence": sentence_of(receipt, language),
    }


def sentence_of(receipt: Receipt, language: Language) -> str:
    """Return the sentence on a receipt, with the number masked."""
    if not is_wrong(receipt):
        return receipt.sentence(language)
    return f"{mask_number(receipt.number)}{say(': not a mobile number', '：不是手机号码')}"


def exit_code(receipts: Sequence[Receipt]) -> int:
    """Return the exit code of the most serious outcome."""
    return exit_code_of(receipt.outcome for receipt in receipts)


def exit_code_of(given: Iterable[Outcome]) -> int:
    """Return the exit code of the most serious of these outcomes."""
    outcomes = set(given)
    return next((code for outcome, code in EXITS.items() if outcome in outcomes), EXIT_ACCEPTED)


def is_wrong(receipt: Receipt) -> bool:
    """Return whether the receipt belongs to an invalid number."""
    return receipt.reason is Reason.NUMBER and receipt.parts == 0
