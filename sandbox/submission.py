"""The checks of a submission, in the platform's order. Nothing here changes any state."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from .accounts import AccountState
from .formats import is_number
from .text import find_words, flow_items, parts, signature
from .verdicts import Verdict

LONGEST_SOURCE = 21


@dataclass(frozen=True, slots=True)
class Submission:
    """Pairs of a valid number and the final text, to be sent at `due_at`."""

    account: AccountState
    product: str
    pairs: list[tuple[str, str]]
    extension: str
    due_at: float
    on_message_id: Callable[[str], object] | None = None


@dataclass(frozen=True, slots=True)
class Assessment:
    """The verdict on a submission's texts, the forbidden words in them, the cost in parts and the flow items."""

    verdict: Verdict
    words: tuple[str, ...] = ()
    cost: int = 0
    flow_items: int = 0


def check_request(
    account: AccountState, product: str, pairs: Sequence[tuple[str, str]], extension: str
) -> Verdict | None:
    """Return the first fault that does not depend on the wording of the texts, or None."""
    if not account.config.may_submit:
        return Verdict.PERMISSION
    if account.config.suspended:
        return Verdict.USER
    if product not in account.balances:
        return Verdict.PRODUCT
    if extension and not (extension.isascii() and extension.isdecimal()):
        return Verdict.PARAMETER
    if len(account.config.source_number) + len(extension) > LONGEST_SOURCE:
        return Verdict.LONG_NUMBER
    if len(pairs) > account.config.numbers_max:
        return Verdict.TOO_MANY
    if not any(is_number(number) for number, _ in pairs):
        return Verdict.NUMBER
    if any(not text.strip() for _, text in pairs):
        return Verdict.EMPTY
    return None


def assess_texts(submission: Submission, forbidden_words: Collection[str], review_words: Collection[str]) -> Assessment:
    """Check signatures, words and balance."""
    account = submission.account
    texts = dict.fromkeys(text for _, text in submission.pairs)
    if account.signature_required and any(signature(text) is None for text in texts):
        return Assessment(Verdict.SIGNATURE)
    words = tuple(dict.fromkeys(word for text in texts for word in find_words(text, forbidden_words)))
    if words:
        return Assessment(Verdict.FORBIDDEN_WORDS, words)
    costs = {text: parts(text) for text in texts}
    cost = sum(costs[text] for _, text in submission.pairs)
    if cost > account.balances[submission.product]:
        return Assessment(Verdict.BALANCE)
    verdict = Verdict.ACCEPTED
    if account.manual:
        verdict = Verdict.MANUAL
    elif any(find_words(text, review_words) for text in texts):
        verdict = Verdict.REVIEW
    items = {text: flow_items(text) for text in texts}
    return Assessment(verdict, cost=cost, flow_items=sum(items[text] for _, text in submission.pairs))
