"""The lines that a send writes to Apprise's log: masked numbers, whole message ids, never a text.

Host programs judge a send by its log. Uptime Kuma reports a failure if the word ERROR appears, and a broken service if
the output is empty; changedetection.io treats WARNING as a failure too. A send therefore writes at most one line
at INFO for the successes and one at ERROR for the failures, and nothing else from INFO upwards.
"""

from collections.abc import Collection, Iterable, Sequence

from .core import OWN_LIMITS, Outcome, Reason, Receipt, SpendingLimits, mask_number

# Only these reasons have details in our own words. Other details come from the platform and may quote the text.
_SAFE_DETAILS = frozenset({Reason.LOST, Reason.NO_CONNECTION, Reason.WRONG_ADDRESS})
# Details of our own: no time was left for a request, the message was repeated after an unknown outcome, and another
# program's claim of the same message has no outcome.
NO_TIME, REPEATED, OTHER_SENDER = "no time", "repeated", "other sender"
_LATER = " The next message to this number begins with the count of those that were held back."
_NUMBERS_SHOWN = 20
_UNKNOWN_ADVICE = (
    "It may have arrived: do not send it again before you have checked with the recipient or the platform. "
    "A retry skips this number."
)


def success_message(receipts: Iterable[Receipt], duplicates: Collection[str]) -> str:
    """Return the line about the numbers that the platform accepted or holds, or an empty text.

    duplicates: numbers that `dedupe` skipped because they received the same text shortly before.
    """
    groups: dict[str, list[str]] = {}
    for receipt in receipts:
        if receipt.outcome.is_success:
            description = _describe_success(receipt, duplicate=receipt.number in duplicates)
            groups.setdefault(description, []).append(receipt.number)
    return "; ".join(f"{description}: {_format_numbers(numbers)}" for description, numbers in groups.items())


def failure_message(receipts: Iterable[Receipt], limits: SpendingLimits | None = None, *, sums_up: bool = True) -> str:
    """Return the line about the numbers with any other outcome, or an empty text.

    limits: those of the URL. sums_up: whether a later message says how many were held back.
    """
    groups: dict[str, list[str]] = {}
    for receipt in receipts:
        if not receipt.outcome.is_success:
            groups.setdefault(_describe_failure(receipt, limits, sums_up=sums_up), []).append(receipt.number)
    return " ".join(f"{_format_numbers(numbers)}: {description}" for description, numbers in groups.items())


def _describe_success(receipt: Receipt, *, duplicate: bool) -> str:
    description = "accepted" if receipt.outcome is Outcome.ACCEPTED else "held for manual review at the platform"
    if receipt.message_id:
        description += f" (id {receipt.message_id})"
    if receipt.detail == REPEATED:
        description += " when repeated; the first attempt's outcome is unknown, so the message may arrive twice"
    if duplicate:
        description += " earlier, not sent again (dedupe)"
    return description


def _describe_held_back(reason: Reason, limits: SpendingLimits, *, sums_up: bool) -> str:
    limit = {
        Reason.NUMBER_LIMIT: f"{limits.number} messages to one number within 10 minutes",
        Reason.HOURLY_LIMIT: f"{limits.hour} parts within 60 minutes",
        Reason.DAILY_LIMIT: f"{limits.day} parts within 24 hours ({limits.reserve} more for critical messages)",
    }
    return (
        f"held back. {reason.en} The limit is {limit[reason]}; ?cap=PARTS replaces all limits by one per day, and "
        f"?cap=0 removes them.{_LATER if sums_up else ''}"
    )


def _describe_failure(receipt: Receipt, limits: SpendingLimits | None, *, sums_up: bool) -> str:
    reason = receipt.reason
    if limits is not None and reason is not None and reason in OWN_LIMITS:
        return _describe_held_back(reason, limits, sums_up=sums_up)
    sentence = reason.en if reason is not None else ""
    if receipt.detail == NO_TIME:
        sentence = "The time for this notification was used up before a request could begin; nothing was sent."
    elif receipt.detail == OTHER_SENDER:
        sentence = "Another program on this machine began to send the same text and recorded no outcome."
    elif receipt.detail and reason in _SAFE_DETAILS:
        sentence += f" ({receipt.detail})"
    if receipt.outcome is Outcome.UNKNOWN:
        return f"unknown. {sentence} {_UNKNOWN_ADVICE}"
    kind = "refused" if receipt.outcome is Outcome.REFUSED else "not sent"
    return f"{kind}. {sentence}"


def _format_numbers(numbers: Sequence[str]) -> str:
    shown = ", ".join(mask_number(number) for number in numbers[:_NUMBERS_SHOWN])
    more = len(numbers) - _NUMBERS_SHOWN
    return f"{shown} and {more} more" if more > 0 else shown
