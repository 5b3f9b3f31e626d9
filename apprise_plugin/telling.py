"""What a send writes to Apprise's log: numbers masked, ids whole, never a text.

The hosts judge by it: Uptime Kuma takes a send for failed if the word ERROR appears and for broken if nothing does,
changedetection.io takes WARNING for a failure too. So there is one line at INFO for what went out, one at ERROR for
what did not, and nothing else from INFO upwards.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from .core import Outcome, Reason, Receipt, mask_number

# What the platform says besides may quote the text; these details are our own words.
_OWN_DETAILS = frozenset({Reason.LOST, Reason.NO_CONNECTION, Reason.WRONG_ADDRESS})
_MOST_NUMBERS = 20
_UNKNOWN = (
    "It may have arrived: do not simply send it again, ask the receiver or the platform first; a retry leaves it out."
)


def arrived(receipt: Receipt) -> bool:
    """Tell whether the platform has taken the message on: accepted, or held for a person there."""
    return receipt.outcome in (Outcome.ACCEPTED, Outcome.HELD)


def good_news(receipts: Iterable[Receipt], repeated: Iterable[str]) -> str:
    """Return the line about the numbers that the platform took; empty where there is none.

    repeated: numbers that the same message went to shortly before, which `dedupe` left out.
    """
    left_out = frozenset(repeated)
    groups: dict[str, list[str]] = {}
    for receipt in receipts:
        if arrived(receipt):
            groups.setdefault(_fate(receipt, repeated=receipt.number in left_out), []).append(receipt.number)
    return "; ".join(f"{fate}: {_listed(numbers)}" for fate, numbers in groups.items())


def bad_news(receipts: Iterable[Receipt]) -> str:
    """Return the line about the numbers that the platform did not take, or may not have; empty where there is none."""
    groups: dict[str, list[str]] = {}
    for receipt in receipts:
        if not arrived(receipt):
            groups.setdefault(_trouble(receipt), []).append(receipt.number)
    return " ".join(f"{_listed(numbers)}: {trouble}" for trouble, numbers in groups.items())


def _fate(receipt: Receipt, *, repeated: bool) -> str:
    told = "accepted" if receipt.outcome is Outcome.ACCEPTED else "held for a person at the platform"
    if receipt.message_id:
        told += f" (id {receipt.message_id})"
    if repeated:
        told += " before, so not sent again (dedupe)"
    return told


def _trouble(receipt: Receipt) -> str:
    reason = receipt.reason
    sentence = reason.en if reason is not None else ""
    if receipt.detail and reason in _OWN_DETAILS:
        sentence += f" ({receipt.detail})"
    if receipt.outcome is Outcome.UNKNOWN:
        return f"unknown. {sentence} {_UNKNOWN}"
    kind = "refused" if receipt.outcome is Outcome.REFUSED else "not sent"
    return f"{kind}. {sentence}"


def _listed(numbers: Sequence[str]) -> str:
    shown = ", ".join(mask_number(number) for number in numbers[:_MOST_NUMBERS])
    more = len(numbers) - _MOST_NUMBERS
    return f"{shown} and {more} more" if more > 0 else shown
